# FaceLab's page in a container: docker build -t facelab . && docker run -p 7860:7860 facelab
# With a GPU: docker build --build-arg TORCH_INDEX=https://pypi.org/simple ... and docker run --gpus all ...
FROM python:3.12-slim

# The index that PyTorch comes from; the default is the one of the CPU builds, which are 200 MB instead of 3 GB.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 1000 facelab
WORKDIR /app

COPY requirements.txt ./
RUN grep -E "^torch(vision)?==" requirements.txt > torch.txt \
    && pip install --no-cache-dir --index-url "${TORCH_INDEX}" -r torch.txt \
    && pip install --no-cache-dir -r requirements.txt

COPY README.md LICENSE.md LICENSE app.py ./
COPY checkpoints ./checkpoints
COPY facelab ./facelab

USER 1000
ENV HOST=0.0.0.0 PORT=7860 FACELAB_HOSTED=on PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
CMD ["python", "app.py"]
