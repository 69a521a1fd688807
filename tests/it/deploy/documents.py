"""Reads YAML documents from standard input and writes them as one JSON list.

With versions of Kubernetes as arguments it checks them by the strict schemas of these instead, and prints a line
for everything that is wrong. A kind that has no schema is wrong too, unless the last argument, `but=KIND,KIND`,
names it.
"""
import json
import sys

import kubernetes_validate
import yaml

documents = [document for document in yaml.safe_load_all(sys.stdin) if document is not None]
versions = [argument for argument in sys.argv[1:] if not argument.startswith("but=")]
known = [kind for argument in sys.argv[1:] if argument.startswith("but=") for kind in argument[4:].split(",")]

if not versions:
    json.dump(documents, sys.stdout)
for version in versions:
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(each) for each in error.path)
            print(f"{version}: {kind} {name}: {path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            if f"{document['apiVersion']}/{kind}" not in known:
                print(f"{version}: {kind} {name}: there is no schema for {document['apiVersion']}")
