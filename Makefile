# make run · make test · make lint · make audit · make bench · make pictures · make space      each sets up what it needs
PYTHON ?= python3
PORT ?= 7860
OWNER ?=
BIN := .venv/bin

.PHONY: run test lint audit bench pictures space

run: .venv/.run
	PORT=$(PORT) $(BIN)/python app.py

test: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

audit: .venv/.dev
	@if $(BIN)/python -c "import socket; socket.create_connection(('pypi.org', 443), 5)" 2>/dev/null; then \
	  $(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet pip-audit==2.10.1 && \
	  .venv/audit/bin/pip-audit --path "$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")"; \
	else echo "make audit asks pypi.org about every installed package; it cannot be reached, so nothing is checked."; fi

bench: .venv/.dev
	@status=0; for script in benchmarks/*.py; do \
	  start=$$(date +%s); echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script || status=1; \
	  echo "== $$script took $$(( $$(date +%s) - start )) s"; done; exit $$status

pictures: .venv/.dev
	PYTHONPATH=. $(BIN)/python docs/pictures.py

space: .venv/.dev
	$(BIN)/python deploy/space.py --owner "$(OWNER)"

.venv/.run: requirements.txt
	$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'FaceLab needs Python 3.11 or newer: make PYTHON=python3.12 run')"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

.venv/.dev: .venv/.run requirements-dev.txt
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@
