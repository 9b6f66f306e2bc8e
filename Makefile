# `make talk` and `make test` are the whole set-up: they need Python 3.11 to 3.13, and nothing else.
# Set-up speaks on stderr, so that `make -s talk | grep blue` sees the conversation alone.

PYTHON_WANTED := >=3.11,<3.14
IN_VENV := .venv/bin
PYTHON := $(IN_VENV)/python
# a company's own certificates are in the system's store, not in uv's
export UV_SYSTEM_CERTS ?= true
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
# bytecode is compiled once here, instead of at the first call
INSTALL = "$$uv" pip install --quiet --compile-bytecode --python $(PYTHON) -r pyproject.toml -c requirements.lock
FIND_UV = uv=$$(command -v uv || echo $(IN_VENV)/uv)
CODE := agent.py environment.py identity.py metrics.py apps call memory room voice talk.py terminal offline bench evals

.DEFAULT_GOAL := help
.PHONY: help talk apps start test test-rooms soak stack bench eval lint types lock clean clean-stack

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

talk: .venv/.talk ## Talk to the agent in this terminal. ARGS="--as alice@example.com --say hello.wav"
	@$(PYTHON) talk.py $(ARGS)

apps: .venv/.talk ## Run the service that connects people to their own apps (APPS, APPS_SECRET): see docs/apps.md.
	@$(PYTHON) -m apps serve

start: .venv/.talk ## Run a worker for a LiveKit server (LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET).
	@$(PYTHON) -m livekit.agents start agent.py

test: .venv/.dev ## Run the tests. Servers they need are fetched and built once, in minutes (make stack).
	$(PYTHON) -m $(if $(ARGS),pytest $(ARGS),tests)

test-rooms: .venv/.dev ## Run all tests in real rooms, on a real livekit-server; make test has one of each kind.
	$(PYTHON) -m pytest -m "rooms and not soak" $(ARGS)

soak: .venv/.dev ## Run the tests with their full counts, and those in rooms on the livekit-server before too.
	$(PYTHON) -m pytest -m "soak or thorough" $(ARGS)
	RAPPORT_LIVEKIT_SERVER=1.13.5 $(PYTHON) -m pytest -m "rooms and (soak or thorough)" $(ARGS)

stack: .venv/.dev ## Fetch and build the servers that the tests start: LiveKit, Postgres, PostgREST.
	$(PYTHON) -m tests.stack

bench: .venv/.dev ## Run the benchmarks.
	@held=0; for program in bench/*.py; do echo "== $$program"; $(PYTHON) $$program --json || held=1; done; exit $$held

eval: .venv/.dev ## Hold the conversations of evals/ with a real model (OPENAI_API_KEY, or LLM_BASE_URL and LLM_MODEL).
	@$(PYTHON) -m evals $(ARGS)

lint: .venv/.dev ## Check style and formatting.
	$(IN_VENV)/ruff check
	$(IN_VENV)/ruff format --check

types: .venv/.dev ## Check types, strictly.
	$(IN_VENV)/basedpyright $(CODE)

lock: .venv/.python ## Resolve the dependencies anew into requirements.lock.
	@$(FIND_UV); "$$uv" pip compile pyproject.toml --universal --generate-hashes --extra apps --extra embeddings --extra offline \
	    --extra migrate --group dev --quiet --upgrade --custom-compile-command "make lock" -o requirements.lock

clean: ## Remove the virtual environment.
	rm -rf .venv

clean-stack: ## Remove the servers from the cache.
	$(PYTHON) -m tests.stack --remove

# uv where there is one, else one of our own, beside the packages it installs.
.venv/.python:
	@echo "Preparing .venv (once)…" >&2
	@if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python '$(PYTHON_WANTED)' .venv >&2; \
	else \
	    for python in python3.13 python3.12 python3.11 python3 python; do \
	        "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; \
	        python=; \
	    done; \
	    test -n "$$python" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found." >&2; exit 1; }; \
	    "$$python" -m venv .venv >&2 || { echo "$$python cannot make virtual environments: install its venv package (python3-venv on Debian)." >&2; exit 1; }; \
	    $(PYTHON) -m pip install --quiet uv >&2; \
	fi
	@touch $@

.venv/.talk: .venv/.python pyproject.toml requirements.lock
	@echo "Installing what the agent needs…" >&2
	@$(FIND_UV); $(INSTALL) --extra apps --extra embeddings --extra offline >&2
	@touch $@

.venv/.dev: .venv/.talk
	@echo "Installing what the tests need…" >&2
	@$(FIND_UV); $(INSTALL) --extra apps --extra embeddings --extra offline --extra migrate --group dev >&2
	@touch $@
