"""Builds the wheel of this package, so that the test needs no network; see PEP 517. Others use hatchling or the like."""

import os
import tomllib
import zipfile


def build_wheel(folder, settings=None, metadata=None):
    """Make the wheel in a folder; its name."""
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    name = f"{project['name'].replace('-', '_')}-{project['version']}"
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in of.items())
        for group, of in groups.items()
    )
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": points,
        "RECORD": "",
    }
    with zipfile.ZipFile(os.path.join(folder, f"{name}-py3-none-any.whl"), "w") as wheel:
        for module in sorted(os.listdir("magents_sample")):
            if module.endswith(".py"):
                wheel.write(os.path.join("magents_sample", module))
        for file, text in files.items():
            wheel.writestr(f"{name}.dist-info/{file}", text)
    return f"{name}-py3-none-any.whl"
