"""Training for an audience: queued runs on the page, their data, and the script that repeats one."""
