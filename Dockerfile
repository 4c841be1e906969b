# syntax=docker/dockerfile:1
# The digest has no default on purpose: say which build of the base you trust.
#   docker build --build-arg BASE_DIGEST=sha256:... -t wiser-fhir .
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG BASE_DIGEST

FROM ${BASE}@${BASE_DIGEST} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements requirements
RUN python -m venv /builder \
    && /builder/bin/python -m pip install --quiet --require-hashes -r requirements/build.txt
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --quiet --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md alembic.ini ./
COPY alembic alembic
COPY capability capability
COPY examples examples
COPY igs igs
COPY src src
RUN /builder/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/python -m pip install --quiet --no-deps /wheels/*.whl \
    && cd / && /venv/bin/wiser-fhir coverage check >/dev/null

FROM ${BASE}@${BASE_DIGEST}
RUN useradd --system --user-group --no-create-home wiser-fhir \
    && install -d -o wiser-fhir -g wiser-fhir -m 0700 /var/lib/wiser-fhir
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 WISER_DATA_DIR=/var/lib/wiser-fhir
USER wiser-fhir
WORKDIR /var/lib/wiser-fhir
VOLUME /var/lib/wiser-fhir
EXPOSE 8000
STOPSIGNAL SIGTERM
# Where this process ends TLS itself, override the check with one that trusts its certificate.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["wiser-fhir"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
