"""Write the list of the public API's operations, from the public API document.

    python scripts/public_operations.py ../shared/reference/workos-openapi.yaml
"""

import sys
from pathlib import Path

import yaml

TARGET = Path(__file__).parents[1] / "src/tenantry/operations.txt"
METHODS = ("get", "post", "put", "patch", "delete")


def operations(document: Path) -> list[str]:
    """Return a line for each operation, `GET /organizations/{id}`, in the order of paths."""
    paths = yaml.load(document.read_text("utf-8"), Loader=yaml.CSafeLoader)["paths"]
    return [f"{method.upper()} {path}" for path in sorted(paths) for method in METHODS if method in paths[path]]


if __name__ == "__main__":
    TARGET.write_text("\n".join(operations(Path(sys.argv[1]))) + "\n", "utf-8")
