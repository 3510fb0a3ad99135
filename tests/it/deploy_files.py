"""deploy/ as other programs see it.

deploy_files.py check             compose files and the Kubernetes manifest against their schemas; exit code 1 if one is wrong
deploy_files.py resolve FILE...   the services of compose files, merged, with the variables of .env filled in, as JSON; .env
                                  is standard input
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<kind>:?[-?])(?P<text>[^{}]*))?\})")


def check():
    compose = sorted(DEPLOY.glob("compose*.yaml"))
    schema = ["--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([sys.executable, "-m", "check_jsonschema", *schema, *compose])
    manifest = (DEPLOY / "kubernetes.yaml").read_text()
    kinds = []
    for document in yaml.safe_load_all(manifest):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        kinds.append(document["kind"])
    print(len(compose), "compose files,", ", ".join(kinds))
    sys.exit(checked.returncode)


def resolve(files):
    lines = (line.strip().partition("=") for line in sys.stdin if not line.startswith("#"))
    variables = {name: value for name, _, value in lines if name}
    services = {}
    for file in files:
        for name, service in yaml.safe_load((DEPLOY / file).read_text())["services"].items():
            known = services.setdefault(name, {})
            environment = {**known.get("environment", {}), **passed_on(service, variables)}
            known.update({**service, "environment": environment})
    print(json.dumps(filled_in(services, variables)))


def passed_on(service, variables):
    """The environment; what has no value is handed on if it is there."""
    pairs = ((key, variables.get(key) if value is None else str(value)) for key, value in service.get("environment", {}).items())
    return {key: value for key, value in pairs if value is not None}


def filled_in(value, variables):
    if isinstance(value, dict):
        return {key: filled_in(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled_in(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value

    def variable(match):
        if match["dollar"]:
            return "$"
        known = variables.get(match["name"])
        if known or (known is not None and not (match["kind"] or "").startswith(":")):
            return known
        if not (match["kind"] or "").endswith("-"):
            sys.exit(f"{match['name']} is not set")
        return match["text"]

    return VARIABLE.sub(variable, value)


match sys.argv[1:]:
    case ["check"]:
        check()
    case ["resolve", *files]:
        resolve(files)
    case _:
        sys.exit(__doc__)
