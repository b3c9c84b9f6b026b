# The image of every task of the pipeline, on CPU nodes and on GPU nodes (CUDA comes with torch).
# `make image` builds it; docs/kubernetes.md describes how to push it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
RUN pip install --no-cache-dir --root-user-action ignore uv && python -m venv --without-pip /opt/venv
COPY requirements-image.txt /build/
# All versions are locked, so nothing is resolved. uv downloads and unpacks in parallel, pip does not.
RUN uv pip install --python /opt/venv/bin/python --no-cache --compile-bytecode --no-deps --requirement /build/requirements-image.txt

FROM dependencies AS package
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
RUN pip install --no-cache-dir --no-deps --target /opt/autoencoders /build

FROM ${BASE}
# The dependencies have their own layer: a change of the code does not rebuild it.
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/autoencoders /opt/autoencoders
# KFP's executor loads the components by their paths.
COPY components /opt/autoencoders/components
ARG REVISION=""
ARG DIRTY=false
ARG VERSION=""
LABEL org.opencontainers.image.title="autoencoders" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}"
# Nothing is written outside /tmp and the folders that KFP mounts: the root file system may be read-only.
ENV PATH=/opt/venv/bin:/opt/autoencoders/bin:$PATH \
    PYTHONPATH=/opt/autoencoders \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    _KFP_RUNTIME=true \
    MLFLOW_DISABLE_TELEMETRY=true \
    GIT_COMMIT=${REVISION} \
    GIT_DIRTY=${DIRTY}
USER 10001:10001
WORKDIR /tmp
CMD ["autoencoders", "--help"]
