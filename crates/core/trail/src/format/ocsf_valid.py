"""Checks OCSF events, one a line on standard input, against the schema of the version that they name."""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

CLASSES = {
    1001: "file_activity",
    2004: "detection_finding",
    3003: "authorize_session",
    3004: "entity_management",
    6003: "api_activity",
}
schemas, wrong, events = {}, 0, 0
for line in sys.stdin:
    event = json.loads(line)
    key = (event["metadata"]["version"], event["class_uid"])
    if key not in schemas:
        schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(key[0]))
        schemas[key] = Draft202012Validator(schema.get_class_schema(CLASSES[key[1]]))
    events += 1
    for error in schemas[key].iter_errors(event):
        wrong += 1
        print(f"{event['message']}: {error.json_path}: {error.message[:200]}")
print(f"{events} events, {wrong} errors")
sys.exit(1 if wrong or not events else 0)
