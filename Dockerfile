# The worker as a container, for any host of containers and for `lk agent deploy`:
#
#     docker build -t rapport . && docker run --env-file .env --volume rapport:/data rapport
#
# Without a volume at /data, and without SUPABASE_URL, a worker remembers nobody, and says so: each deployment would forget
# everybody. (`VOLUME` would make one that is new each time.)
#
# The service that connects people to their own apps is the target `apps` (docs/apps.md):
#
#     docker build -t rapport-apps --target apps . && docker run --env-file .env --volume rapport:/data rapport-apps
#
# At SIGTERM it takes no new rooms, finishes its calls (for up to an hour) and ends. Give it that time: `docker stop
# --time 3700`, or `terminationGracePeriodSeconds: 3700`. What is killed earlier cuts people off in mid-sentence; what
# they told until then is kept.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
WORKDIR /app
RUN uv venv .venv
COPY pyproject.toml requirements.lock ./
# bytecode is compiled here, or every start of a container pays for it: nobody may write there later
RUN uv pip install --python .venv --compile-bytecode -r pyproject.toml --extra apps --extra embeddings -c requirements.lock
# what a plugin needs beside its wheel; else the first call would fetch it
RUN .venv/bin/python -m livekit.agents download-files
COPY . .
RUN .venv/bin/python -m compileall -q --invalidation-mode unchecked-hash \
    agent.py environment.py identity.py metrics.py apps call memory room voice

FROM python:${PYTHON}-slim AS both
# the number is what Kubernetes checks with `runAsNonRoot`
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin rapport \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAPPORT_HOME=/data
USER 10001:10001
STOPSIGNAL SIGTERM

FROM both AS apps
# jobs from 8090, never from outside; browsers from 8091, behind TLS
ENV APPS_HOST=0.0.0.0 \
    APPS_PUBLIC_PORT=8091
EXPOSE 8090 8091
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8091/healthz', timeout=4)"]
CMD ["python", "-m", "apps", "serve"]

FROM both
EXPOSE 8081
# 200 while it runs, 503 when it gave up on its server. It answers before it is registered: a rollout that must not
# take the last worker away waits for "registered worker" in the log.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8081/', timeout=4)"]
CMD ["python", "-m", "livekit.agents", "start", "agent.py"]
