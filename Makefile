# What a developer runs. Each target does all its own set-up.

.PHONY: test lint licences unit docs bench demo image

# All checks and all tests, on real services: gets Debian packages, Kafka and tools by itself.
test:
	./scripts/test.sh

# Formatting, lints, licences: no services needed.
lint:
	./scripts/lint.sh

# Tests that need no services.
unit:
	cargo test --workspace --lib --bins

# Regenerates the option tables of the connectors' READMEs.
docs:
	cargo run --quiet -- plugins --write-docs

# Speed and memory beside the figures of the README. Takes minutes; best on a quiet machine.
bench:
	./scripts/bench.sh

demo:
	cargo run --release -- demo

# The container image, in buildah's and podman's storage: localhost/sluice:latest.
image:
	./scripts/setup.sh
	./scripts/image.sh
