# syntax=docker/dockerfile:1
# docker build --target cpu .   or   docker build --target gpu --build-arg REQUIREMENTS=gpu .
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ARG REQUIREMENTS=run
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/${REQUIREMENTS}.txt requirements/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes --no-deps -r requirements/build.txt -r requirements/${REQUIREMENTS}.txt
COPY . .
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation .

FROM python:${PYTHON} AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/var/cache \
    SCENESTREAM_LOG_FORMAT=json \
    SCENESTREAM_WEB__HOST=0.0.0.0 \
    SCENESTREAM_DASHBOARD__HOST=0.0.0.0
RUN useradd --uid 10001 --create-home scenestream \
    && install --directory --owner scenestream /var/cache/scenestream
COPY --from=build /opt/venv /opt/venv
WORKDIR /home/scenestream
EXPOSE 6066 8088
STOPSIGNAL SIGTERM
ENTRYPOINT ["scenestream"]
CMD ["worker"]

FROM base AS gpu
ENV SCENESTREAM_MODELS__PROVIDER=cuda
# CUDA and cuDNN come with the requirements; the loader is told where.
RUN find /opt/venv -type d -path '*/nvidia/*' -name lib > /etc/ld.so.conf.d/nvidia.conf && ldconfig
USER scenestream

FROM base AS cpu
USER scenestream
RUN scenestream models build
