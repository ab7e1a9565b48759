# The demo shop, driven for ever, sending to the spanlint of OTEL_EXPORTER_OTLP_ENDPOINT.
FROM python:3.13-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql redis-server \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY collector collector
COPY detectors detectors
COPY dashboards dashboards
RUN pip install -c constraints.txt '.[demo]' && useradd --create-home --uid 10001 shop
USER 10001
WORKDIR /home/shop
CMD ["python", "-m", "collector.demo.forever"]
