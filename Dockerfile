# attnfuzz for CI: docker build -t attnfuzz . && docker run --rm -v "$PWD:/work" attnfuzz ci -t ./my_attention.so
# It installs a wheel that lies in dist/ (pip wheel . --no-deps -w dist). This file was written on a machine without
# Docker and has not been run.
FROM python:3.12-slim-bookworm
COPY dist/*.whl /tmp/
RUN pip install --no-cache-dir /tmp/*.whl && rm /tmp/*.whl
WORKDIR /work
ENTRYPOINT ["attnfuzz"]
