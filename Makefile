# Every command of the project. `make` alone lists them.

PYTHON := .venv/bin/python
# The functions' own modules, for what checks the guarantees with them.
export PYTHONPATH := layers/firstcome/python
export AUTH CAPACITY USERS CONCURRENCY FAULT MINUTES ACKS SEED STACK_PARAMETERS QUICK CONTAINER_HOST

.DEFAULT_GOAL := help
.PHONY: help deploy doctor install run faults faults-long scale up down token invoke test schemathesis verify mutate bare bench cost check lint fmt types validate audit pictures

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: install-run ## Install what `make run` and `make up` need; every other command installs what it needs

# Each command installs the group of programs and packages that it needs: see local/install.
install-%:
	@local/install $*

# No shell in between: Ctrl-C, and a SIGTERM to make, reach the command, which then stops all it started.
run: install-run ## Start a stack, send it a rush, check the guarantees, stop it (CAPACITY= USERS= CONCURRENCY= FAULT=flushall)
	@exec $(PYTHON) -m local.commands.run

faults: install-verify ## Let every fault happen at every external call, then pairs of faults, and check the guarantees (PAIRS=)
	@exec $(PYTHON) -m verify.fault_injection.run $(if $(PAIRS),--pairs $(PAIRS))

faults-long: install-verify ## Break the stack under load for 15 minutes, check the guarantees (MINUTES= CONCURRENCY= CAPACITY= ACKS=0 SEED=)
	@exec $(PYTHON) -m verify.chaos

up: install-run ## Start the stack and leave it running (STACK_PARAMETERS="DrainRowsPerSecond=100", AUTH=true to enforce IAM, CONTAINER_HOST=ADDRESS for containers too)
	@exec $(PYTHON) -m local.commands.up

down: install-run ## Stop the stack that `make up` started
	@exec $(PYTHON) -m local.commands.down

# Through the environment, so that a quote in a name stays a quote.
token: export SUB := $(SUB)
token: export SCOPE := $(SCOPE)
token: export TTL := $(TTL)
token: install-run ## Print a token for the stack: make token SUB=alice [SCOPE=firstcome/operator] [TTL=seconds]
	@exec $(PYTHON) -m local.commands.token

invoke: export FUNCTION := $(FUNCTION)
invoke: export EVENT := $(EVENT)
invoke: install-run ## Run a built function on the stack: make invoke FUNCTION=ApplyFunction EVENT=events/apply.json
	@exec $(PYTHON) -m local.commands.invoke

scale: install-verify ## Wipe Redis beside large ledgers and heal it with a function's share of a core (COUPONS="1000000 3000000")
	@exec $(PYTHON) -m verify.scale $(COUPONS)

# Two at a time: the tests wait for servers more than they compute. The pages' tests belong to `make verify`.
deploy: export ENV := $(ENV)
deploy: export PARAMS := $(PARAMS)
deploy: export TAGS := $(TAGS)
deploy: install-run ## Deploy to AWS: make deploy ENV=dev|prod [PARAMS="AlarmEmail=you@example.com"] [TAGS="team=shop"]
	@exec $(PYTHON) -m local.commands.deploy

doctor: export ENV := $(ENV)
doctor: export PARAMS := $(PARAMS)
doctor: install-run ## Say what of an account fits the stack and what does not (ENV=dev|prod|local PARAMS=)
	@exec $(PYTHON) -m local.commands.doctor

test: install-test ## Run the tests on real servers, within five minutes
	@exec $(PYTHON) -m pytest --numprocesses 2 --dist loadfile --ignore tests/browser

schemathesis: install-verify ## Try the API with requests made up from docs/openapi.yaml, right and wrong ones (EXAMPLES=200 SEED=1)
	@exec env EXAMPLES=$(or $(EXAMPLES),200) $(PYTHON) -m pytest verify/schemathesis

pictures: export SCREENSHOTS := docs/images
pictures: install-verify ## Take the pictures of the console and the claim page anew, in docs/images
	@exec $(PYTHON) -m pytest tests/browser

mutate: install-verify ## Put errors into the Lua scripts and the drain, one at a time; the tests must notice them
	@exec $(PYTHON) -m verify.mutation

bench: install-bench ## Measure against what one would write instead, in ratios of one run (PARTS="rivals drain" QUICK=1)
	@exec $(PYTHON) -m bench $(PARTS)

cost: install-bench ## US dollars per million requests, from what `make bench` measured and AWS's prices
	@exec $(PYTHON) -m bench.parts.cost

verify: install-verify faults ## What takes longer than the tests: every fault, the model, browsers, hostile requests
	@exec $(PYTHON) -m pytest verify tests/browser

bare: export COMMANDS := $(COMMANDS)
bare: ## Run commands on a bare Debian, as a newcomer does (COMMANDS="make run", DEBIAN=trixie); wants root and debootstrap
	@exec verify/bare "$${COMMANDS:-make run}"

check: lint types validate audit test ## Everything a change must pass: lint, types, templates, audit, tests

lint: install-check
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	bash -n local/install
	bash -n verify/bare
	bash -n .ci/run

fmt: install-check ## Format the sources
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types: install-check
	$(PYTHON) -m mypy

# The root template once with its own Redis and MySQL and once with a team's, in every environment.
validate: export AWS_DEFAULT_REGION := us-east-1
validate: export SAM_CLI_TELEMETRY := 0
validate: export __SAM_CLI_APP_DIR := .local/sam
validate: install-run ## Check the templates (sam validate, cfn-lint)
	.venv/bin/sam validate --lint
	.venv/bin/cfn-lint infra/*.yaml
	for environment in dev prod local; do \
		.venv/bin/cfn-lint --parameters Environment=$$environment -- template.yaml && \
		.venv/bin/cfn-lint --parameters Environment=$$environment RedisHost=redis.example MysqlHost=mysql.example \
			RedisSecretArn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:y \
			MysqlSecretArn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:x \
			JwtIssuer=https://issuer.example VpcSubnetIds=subnet-1,subnet-2 VpcSecurityGroupIds=sg-1 \
			-- template.yaml || exit 1; \
	done

# bandit: no low severities, which ruff's S rules cover. detect-secrets: without the plugins that report the digests of
# public certificates and variables called `password`; the alphabet of the coupon codes is no secret.
# pip-audit prints which packages its service does not know: a mirror of PyPI knows none.
audit: install-audit ## Look for unsafe templates and sources, for secrets and for known vulnerabilities
	.local/audit/bin/checkov --framework cloudformation --compact --quiet --skip-download -f template.yaml infra/*.yaml
	.local/audit/bin/bandit --quiet -ll --recursive layers functions local
	git ls-files -z | xargs -0 .local/audit/bin/detect-secrets-hook --no-verify \
		--disable-plugin HexHighEntropyString --disable-plugin KeywordDetector \
		--exclude-secrets '^[0-9A-Z]{32}$$' --exclude-lines 'mysql://user:password@host:port/'
	.local/audit/bin/pip-audit --progress-spinner off --timeout 15 --requirement layers/dependencies/requirements.txt
