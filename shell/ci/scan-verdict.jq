# From a Trivy report and a list of exceptions to a verdict.
# $exceptions: [{line, id, package, until, reason}]   $today: YYYY-MM-DD   $libraries: whether those of OpenClaw's own tree block

def covers($finding): .id == $finding.VulnerabilityID and (.package == "*" or .package == $finding.PkgName);

[.Results[]? | .Target as $target | (.Class == "os-pkgs") as $system | .Vulnerabilities[]?
  | select(.Severity == "CRITICAL" or .Severity == "HIGH")
  | {id: .VulnerabilityID, package: .PkgName, installed: .InstalledVersion, fixed: (.FixedVersion // ""),
     severity: .Severity, title: ((.Title // "")[:80]), target: $target,
     gates: ($system or $libraries)} as $row
  | . as $finding
  | [$exceptions[] | select(covers($finding))] as $mine
  | $row + {excused: any($mine[]; .until >= $today), expired: ([$mine[] | select(.until < $today) | .until] | max),
            lines: [$mine[].line]}
]
| unique_by([.id, .package, .installed, .target])
| (map(.lines[]) | unique) as $used
| {
    blocking: map(select(.fixed != "" and .gates and (.excused | not))),
    libraries: map(select(.fixed != "" and (.gates | not) and (.excused | not))),
    excused: map(select(.fixed != "" and .excused)),
    unfixed: map(select(.fixed == "")),
    unused: [$exceptions[] | select([.line] | inside($used) | not)]
  }
