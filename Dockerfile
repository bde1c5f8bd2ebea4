# Two stages: the first builds the environment, the second has no build tools.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.txt ./
# Wheels only: nothing is compiled, so no compiler is needed.
RUN python -m venv /venv && /venv/bin/pip install --require-hashes --only-binary :all: -r requirements.txt
COPY manage.py CHANGELOG.md LICENSE ./
COPY hub hub
COPY exporters exporters
COPY templates templates
# These keys are only for this command; none of them ends up in the image.
RUN mkdir staticfiles && HUB_SECRET_KEY=build HUB_ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    /venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
 && /venv/bin/python -m compileall -q hub exporters /venv/lib

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin hub && install -d -o hub -g hub -m 700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HUB_DATA_DIR=/data
USER 10001
VOLUME /data
EXPOSE 9580
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-m", "hub.probe"]
# `prepare` migrates the database and applies HUB_CONFIG. If a separate job does that, start gunicorn directly.
CMD ["sh", "-c", "python manage.py prepare && exec gunicorn -c hub/gunicorn.py"]
