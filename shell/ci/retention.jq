# From all versions of a package, and the manifests of all of them, to those that may go.
#
# input: {versions: [{id, name: "sha256:…", created_at, metadata: {container: {tags: […]}}}], manifests: {"sha256:…": …}}
# $now: seconds; $keep_builds, $keep_days, $grace_days: numbers
#
# Kept: every tag that is not a build's (sha-…); the newest $keep_builds builds; builds younger than $keep_days;
# untagged versions younger than $grace_days, which may belong to a run that is under way; and, from all these,
# everything that a manifest list names, and whatever signs or describes something kept.

def tags: .metadata.container.tags;
def age_days: ($now - (.created_at | fromdateiso8601)) / 86400;
def about: [tags[] | select(test("^sha256-[0-9a-f]{64}")) | "sha256:" + .[7:71]]; # how cosign and OCI 1.0 referrers name their subject
def names_itself: [tags[] | select(test("^sha256-[0-9a-f]{64}") | not)] | length > 0;
def build_only: all(tags[] | select(test("^sha256-[0-9a-f]{64}") | not); startswith("sha-"));

.manifests as $manifests
| (.versions | map({key: .name, value: .}) | from_entries) as $by_digest
| ([.versions[] | select(names_itself and build_only)] | sort_by(.created_at, .id) | reverse) as $builds
| ([.versions[] | select(names_itself and (build_only | not))]
   + $builds[:$keep_builds]
   + [$builds[] | select(age_days < $keep_days)]
   + [.versions[] | select((tags | length) == 0 and age_days < $grace_days)]
   | map(.name) | unique) as $roots
| (reduce .versions[] as $v ({};
     reduce ($manifests[$v.name].manifests[]?.digest) as $child (.; .[$v.name] += [$child])   # a list keeps its parts
     | reduce ($v | about[], ($manifests[$v.name].subject.digest // empty)) as $subject (.; .[$subject] += [$v.name]) # a subject keeps its signatures
   )) as $keeps
| {kept: [], next: $roots}
| until(.next == [];
    (.kept + .next | unique) as $kept
    | {kept: $kept, next: ([.next[] | $keeps[.][]?] | unique - $kept)})
| .kept as $kept
| {
    keep: [$kept[] | select($by_digest[.])],
    missing: [$kept[] | select($by_digest[.] | not)],
    delete: [$by_digest[] | select(.name | IN($kept[]) | not)
             | {id, digest: .name, tags: tags, created_at}] | sort_by(.created_at, .id)
  }
