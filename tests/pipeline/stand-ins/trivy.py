"""A stand-in for trivy-action: puts a recorded report where the action would, about the image it was asked for.

usage: trivy.py RECORDED IMAGE_REF FORMAT OUTPUT
"""

import json
import sys

recorded, reference, kind, output = sys.argv[1:]
if kind == "sarif":
    report = {"version": "2.1.0", "runs": []}
else:
    with open(recorded) as file:
        report = json.load(file)
    report["ArtifactName"] = reference
    for result in report["Results"]:
        result["Target"] = result["Target"].replace("IMAGE", reference)
with open(output, "w") as file:
    json.dump(report, file)
