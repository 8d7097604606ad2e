# Called by `sam build`, through the Makefile in the folder that DependenciesLayer's ContextPath names. Ships compiled
# files beside the sources, for the reason given in layers/firstcome/Makefile.
build-DependenciesLayer:
	python3.13 -m pip install --quiet --disable-pip-version-check --no-compile $(PACKAGES_FOR) \
		--target "$(ARTIFACTS_DIR)/python" -r requirements.txt
	python3.13 -m compileall -q --invalidation-mode unchecked-hash "$(ARTIFACTS_DIR)/python"
