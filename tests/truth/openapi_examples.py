#!/usr/bin/env python3
"""Makes Prometheus' OpenAPI description speak of what a store has: who generates requests from it, gets answers.

usage: openapi_examples.py DESCRIPTION.yaml EXAMPLES.json OUT.json

EXAMPLES.json has values by the name of a parameter, or by path and name ("/query query"). They replace the
description's examples, in parameters and in forms, and are among what is generated. An empty list takes the examples
away. Durations are said as Prometheus reads them; the description's format is that of JSON Schema, ISO 8601.

Prints the address of a GET per line: of each path, the requests that its first, second, … examples make, with all of
its parameters.
"""

import argparse
import json
import urllib.parse

import yaml

TYPES = {"string": str, "array": list, "integer": int, "number": (int, float), "boolean": bool}


class Examples:
    def __init__(self, values):
        self.values = values
        self.used = set()

    def of(self, path, name):
        for key in (f"{path} {name}", name):
            if key in self.values:
                self.used.add(key)
                return self.values[key]
        return None


def rewrite_parameters(path, operation, examples):
    """Place, name and values of the parameters that have examples now."""
    found = []
    for parameter in operation.get("parameters", []):
        name = parameter["name"]
        values = examples.of(path, name)
        if values is not None:
            parameter.pop("example", None)
            parameter["examples"] = {f"example{at}": {"value": value} for at, value in enumerate(values)}
            # How an array is written is read off its type.
            if values and parameter["schema"].get("type") != "array":
                parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}
        values = [example["value"] for example in parameter.get("examples", {}).values()]
        if values:
            found.append((parameter["in"], name, values))
    return found


def rewrite_form(path, operation, schemas, examples):
    for content in operation.get("requestBody", {}).get("content", {}).values():
        properties = schemas[content["schema"]["$ref"].split("/")[-1]]["properties"] if "schema" in content else {}
        for name, schema in properties.items():
            fitting = [v for v in examples.of(path, name) or [] if isinstance(v, TYPES[schema["type"]])]
            if not fitting:
                continue
            schema.pop("example", None)
            properties[name] = {"anyOf": [{"enum": fitting}, schema], "example": fitting[0]}
            shown = [example["value"] for example in content.get("examples", {}).values() if name in example["value"]]
            for at, value in enumerate(shown):
                value[name] = fitting[at % len(fitting)]


def rewrite_durations(tree):
    if isinstance(tree, dict):
        if tree.get("format") == "duration":
            del tree["format"]
            tree["pattern"] = "^[1-9][0-9]?(ms|s|m|h)$"
        tree = tree.values()
    if not isinstance(tree, str):
        for child in tree:
            if isinstance(child, (dict, list)):
                rewrite_durations(child)


def address(path, parameters, at):
    query = []
    for place, name, values in parameters:
        value = values[at % len(values)]
        if place == "path":
            path = path.replace(f"{{{name}}}", urllib.parse.quote(value, safe=""))
        else:
            query += [(name, each) for each in (value if isinstance(value, list) else [value])]
    return path + ("?" + urllib.parse.urlencode(query) if query else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description")
    parser.add_argument("examples")
    parser.add_argument("out")
    args = parser.parse_args()

    with open(args.description, encoding="utf-8") as file:
        description = yaml.safe_load(file)
    with open(args.examples, encoding="utf-8") as file:
        examples = Examples(json.load(file))
    rewrite_durations(description)
    addresses = []
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parameters = rewrite_parameters(path, operation, examples)
            rewrite_form(path, operation, description["components"]["schemas"], examples)
            if method == "get":
                count = max((len(values) for _, _, values in parameters), default=1)
                addresses += [address(path, parameters, at) for at in range(count)]
    unused = examples.values.keys() - examples.used
    if unused:
        raise SystemExit(f"openapi_examples.py: the description has no parameter {', '.join(sorted(unused))}")
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump(description, file)
    print("\n".join(addresses))


if __name__ == "__main__":
    main()
