"""The bill of materials: what is inside the package, as CycloneDX 1.5 in JSON.

The same input gives the same bytes: the time is that of the release, the serial number is made of
the package's hash.
"""

import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from wheels import Wheel

_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_NAMES = {"MIT License": "MIT", "BSD License": "BSD-3-Clause"}
"""Names that libraries give their licence in words."""


def write_bill(
    *, version: str, arch: str, epoch: int, deb_sha256: str, wheels: Sequence[Wheel]
) -> str:
    """Return the document."""
    root = f"pkg:deb/debian/stepupd@{version}?arch={arch}"
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(deb_sha256[:32], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "stepupd",
                "version": version,
                "purl": root,
                "licenses": [{"expression": "Apache-2.0"}],
                "hashes": [{"alg": "SHA-256", "content": deb_sha256}],
            },
        },
        "components": [_describe(wheel) for wheel in wheels],
        "dependencies": [
            {"ref": root, "dependsOn": [name_wheel(wheel) for wheel in wheels]},
            *({"ref": name_wheel(wheel)} for wheel in wheels),
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def name_wheel(wheel: Wheel) -> str:
    """Return the package URL of a library."""
    return f"pkg:pypi/{normalize_name(wheel.name)}@{wheel.version}"


def normalize_name(name: str) -> str:
    """Return a project's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def spell_licence(text: str) -> str:
    """Return an SPDX expression if the text is one, or can be read as one; "" if not."""
    known = _NAMES.get(text, text)
    return known if _SPDX.fullmatch(known) else ""


def _describe(wheel: Wheel) -> dict[str, object]:
    expression = spell_licence(wheel.licence)
    licences = (
        [{"expression": expression}] if expression else [{"license": {"name": wheel.licence}}]
    )
    return {
        "type": "library",
        "bom-ref": name_wheel(wheel),
        "name": wheel.name,
        "version": wheel.version,
        "description": wheel.summary,
        "purl": name_wheel(wheel),
        "licenses": licences,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "properties": [{"name": "stepupd:wheel", "value": wheel.path.name}],
    }
