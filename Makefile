# Thin calls; what they do is in scripts/ and CMakePresets.json.
.PHONY: run test check check-long check-aarch64 stress format bench docs

build = cmake --preset $(1) $(2) >/dev/null && cmake --build --preset $(1)
# To run the server nobody needs what the tests need; a build that has the tests keeps them.
without_tests = $(if $(wildcard build/release/CMakeCache.txt),,-DGOFER_TESTS=OFF)

run:
	@scripts/setup
	@$(call build,release,$(without_tests)) --target gofer-web
	@exec build/release/apps/web_server/gofer-web $(ARGS)

test:
	@scripts/setup test
	@$(call build,release,-DGOFER_TESTS=ON)
	@ctest --preset release -j2

check:
	@scripts/setup test check
	@scripts/check

check-long:
	@scripts/setup test check
	@scripts/check_long $(ARGS)

stress:
	@scripts/setup test check
	@scripts/stress $(ARGS)

check-aarch64:
	@scripts/setup test aarch64
	@scripts/check_aarch64

format:
	@scripts/setup check
	@scripts/format

docs:
	@scripts/setup docs
	@mkdocs build --strict --quiet && doxygen Doxyfile && echo "build/site/index.html"

bench:
	@scripts/setup bench
	@scripts/bench $(or $(ARGS),--write)
