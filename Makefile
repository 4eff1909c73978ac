# Thin calls; what they do is in scripts/ and CMakePresets.json.
.PHONY: run test check format bench

build = cmake --preset $(1) >/dev/null && cmake --build --preset $(1)

run:
	@scripts/setup
	@$(call build,release) --target gofer-web
	@exec build/release/apps/web_server/gofer-web $(ARGS)

test:
	@scripts/setup test
	@$(call build,release)
	@ctest --preset release -j2

check:
	@scripts/setup test check
	@scripts/check

format:
	@scripts/setup check
	@scripts/format

bench:
	@scripts/setup bench
	@scripts/bench $(ARGS)
