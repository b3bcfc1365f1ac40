"""What somebody gets who installs clients/js from npm."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from monitoring.alert import RUNBOOKS
from tests.client.conftest import ROOT, Package, manifest
from tests.support.npm import tool

CLIENT = ROOT / "clients" / "js"
MOST_BYTES = 10_000


def test_it_has_the_modules_their_types_and_nothing_else(package: Package) -> None:
    modules = {"tidings.js", *(f"src/{path.name}" for path in (CLIENT / "src").glob("*.js"))}
    types = {f"types/{module.removesuffix('.js')}.d.ts{map_}" for module in modules for map_ in ("", ".map")}
    assert package.files == modules | types | {"package.json", "README.md", "LICENSE"}


def test_its_types_lead_to_the_source(package: Package) -> None:
    for name in package.files:
        if name.endswith(".map"):
            mapped = package.installed / name
            (source,) = json.loads(mapped.read_text())["sources"]
            assert (mapped.parent / source).resolve().is_relative_to(package.installed)
            assert (mapped.parent / source).is_file()


def test_it_is_ready_to_be_published(package: Package) -> None:
    found = manifest(package.installed)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found["version"] == project["version"]
    assert found["license"] == project["license"]
    assert found["publishConfig"] == {"access": "public", "provenance": True}
    # A registry compares it with where the package was built: without it provenance is refused.
    assert found["repository"]["type"] == "git"
    assert (ROOT / found["repository"]["directory"]).resolve() == CLIENT
    home = urlsplit(RUNBOOKS).netloc
    addresses = (found["homepage"], found["repository"]["url"].removeprefix("git+"), found["bugs"]["url"])
    assert {urlsplit(address)[:2] for address in addresses} == {("https", home)}
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & found.keys()


def test_the_reference_is_that_of_the_types() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "client_reference.py"), "--check"]
    assert subprocess.run(check).returncode == 0, "run `make client`"


def test_a_strict_consumer_and_the_example_compile(package: Package) -> None:
    assert (package.folder / "use-tidings.ts").is_file()
    tool("tsc", "--project", "tsconfig.json", cwd=package.folder)


def test_all_of_it_is_small(package: Package, tmp_path: Path) -> None:
    entry = package.folder / "all.js"
    entry.write_text('export * from "tidings-client";\n')
    bundle = tmp_path / "bundle.js"
    tool("esbuild", entry.name, "--bundle", "--minify", "--format=esm", f"--outfile={bundle}", cwd=package.folder)
    assert len(gzip.compress(bundle.read_bytes())) <= MOST_BYTES


def test_who_uses_one_class_gets_no_other(package: Package, tmp_path: Path) -> None:
    entry = package.folder / "one.js"
    entry.write_text('export { TidingsClient } from "tidings-client";\n')
    bundle = tmp_path / "bundle.js"
    tool("esbuild", entry.name, "--bundle", "--format=esm", f"--outfile={bundle}", cwd=package.folder)
    assert "BroadcastChannel" not in bundle.read_text()
