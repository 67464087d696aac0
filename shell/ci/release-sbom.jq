# From `cargo metadata` to a CycloneDX list of every crate that is part of the programs.
# $checksums: {"name version": sha256}
# $inside: ["name version"] that the program itself holds, or null where it holds no list

(.resolve.nodes | map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind == null)) | .pkg]}) | from_entries) as $needs
| (.packages | map({key: .id, value: .}) | from_entries) as $packages
| .resolve.root as $root
| {seen: [], next: [$root]}
| until(.next == []; (.seen + .next | unique) as $seen | {$seen, next: ([.next[] | $needs[.][]] | unique - $seen)})
| def id: "\(.name) \(.version)";
  [.seen[] | select(. == $root or $inside == null or ($packages[.] | id | IN($inside[])))] as $all
| (($inside // []) - [$packages[$all[]] | id]) as $unknown
| if $unknown != [] then error("in the program, and not of this package: \($unknown | join(", "))") else . end
| def purl: "pkg:cargo/\(.name)@\(.version)";
  {
    bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
    metadata: {component: ($packages[$root] | {type: "application", "bom-ref": purl, name, version, purl: purl})},
    components: ([$packages[$all[] | select(. != $root)]
      | {type: "library", "bom-ref": purl, name, version, purl: purl, licenses: [{expression: (.license // "NOASSERTION" | gsub("/"; " OR "))}],
         hashes: [$checksums[id] // empty | {alg: "SHA-256", content: .}]}] | sort_by(.purl)),
    dependencies: ([$all[] | . as $id | {ref: ($packages[$id] | purl), dependsOn: ([$packages[$needs[$id][] | select(IN($all[]))] | purl] | unique)}] | sort_by(.ref))
  }
