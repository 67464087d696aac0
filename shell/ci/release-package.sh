#!/usr/bin/env bash
# Makes packages of a release's Linux archives: .deb, .rpm, and the pages, completions and units for the installer.
# The programs are those of the archives, not built again. Wants cargo-deb and cargo-generate-rpm.
#
# in:  OUT       folder with the archives of the Linux targets; gets the rest
#      TARGETS   these targets, with blanks between; one of them runs here
#      TAG       of the release, v and the package's version
#      SOURCE_DATE_EPOCH   optional, the time of the files in the packages; default: that of the commit
# out: OUT/oc-secrets_VERSION_ARCHITECTURE.deb, OUT/oc-secrets-VERSION.ARCHITECTURE.rpm, OUT/oc-secrets-extras.tar.gz
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=pages.sh
. "$here/pages.sh"

need OUT TARGETS TAG
matches "$TAG" 'v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?' || die "$TAG is no version" 2
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
version=${TAG#v} stage=target/package
OUT=$(cd "$OUT" && pwd)

programs() { # programs TARGET: those of its archive, into the stage
	rm -rf "${stage:?}/bin" "$stage/archive"
	mkdir -p "$stage/bin" "$stage/archive"
	tar -xzf "$OUT/oc-secrets-$1.tar.gz" --strip-components 1 -C "$stage/archive" || die "no archive for $1" 1
	find "$stage/archive" -maxdepth 1 -type f -perm -u+x -exec mv {} "$stage/bin/" \;
}

# What is the same for every processor.
shared() {
	local share=$stage/share unit shell
	write_pages "$stage/bin" "$stage/pages"
	mkdir -p "$share/man/man1" "$share/doc/oc-secrets" "$share/lintian/overrides" "$stage/systemd"
	cp "$stage"/pages/man1/* "$share/man/man1/"
	gzip -n9 "$share/man/man1"/*
	for shell in bash zsh fish; do
		[[ -d $stage/pages/completions/$shell ]] || continue
		case $shell in bash) unit=bash-completion/completions ;; zsh) unit=zsh/vendor-completions ;; fish) unit=fish/vendor_completions.d ;; esac
		mkdir -p "$share/$unit"
		cp "$stage/pages/completions/$shell"/* "$share/$unit/"
	done
	cp README.md SECURITY.md "$share/doc/oc-secrets/"
	gzip -n9 <CHANGELOG.md >"$share/doc/oc-secrets/CHANGELOG.md.gz"
	# Static on purpose: the same file runs in containers and on any distribution. So it depends on nothing.
	printf 'oc-secrets: %s\n' 'statically-linked-binary [usr/bin/*]' 'empty-field Depends' >"$share/lintian/overrides/oc-secrets"
	for unit in shell/systemd/*; do [[ ! -f $unit ]] || cp "$unit" "$stage/systemd/"; done
	printf 'oc-secrets (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n -- The oc-secrets authors <oc-secrets@users.noreply.github.com>  %s\n' \
		"${version/-/\~}" "$(date -uR -d "@$SOURCE_DATE_EPOCH")" | gzip -n9 >"$share/doc/oc-secrets/changelog.gz"
	for_rpm
}

# The same where distributions with RPM look for it.
for_rpm() {
	mkdir "$stage/rpm"
	cp -r "$stage/share" "$stage/rpm/share"
	rm -rf "$stage/rpm/share/lintian" "$stage/rpm/share/doc/oc-secrets/changelog.gz"
	cp LICENSE "$stage/rpm/share/doc/oc-secrets/"
	[[ ! -d $stage/share/zsh ]] || mv "$stage/rpm/share/zsh/vendor-completions" "$stage/rpm/share/zsh/site-functions"
	[[ -n $(ls "$stage/systemd") ]] || return 0
	mkdir -p "$stage/rpm/lib/systemd/system"
	cp "$stage/systemd"/* "$stage/rpm/lib/systemd/system/"
}

# For install.sh, which puts them where packages would.
extras() {
	mkdir "$stage/oc-secrets-extras"
	cp -r "$stage/pages"/* "$stage/oc-secrets-extras/"
	[[ -z $(ls "$stage/systemd") ]] || cp -r "$stage/systemd" "$stage/oc-secrets-extras/"
	tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "--mtime=@$SOURCE_DATE_EPOCH" -cf - oc-secrets-extras |
		gzip -n9 >"$OUT/oc-secrets-extras.tar.gz"
}

rm -rf "$stage"
mkdir -p "$stage"
runs=''
for target in $TARGETS; do [[ $target != "$(uname -m)"-* ]] || runs=$target; done
[[ -n $runs ]] || die 'none of the targets runs here, so nothing can write the man pages' 2
programs "$runs"
shared
extras
for target in $TARGETS; do
	programs "$target"
	find "$stage" -exec touch --no-dereference "--date=@$SOURCE_DATE_EPOCH" {} +
	cargo deb --locked --quiet --no-build --no-strip --target "$target" --output "$OUT/" || die "cannot make the .deb of $target" 1
	cargo generate-rpm --target "$target" --payload-compress gzip --source-date "$SOURCE_DATE_EPOCH" --output "$OUT/oc-secrets-$version.${target%%-*}.rpm" ||
		die "cannot make the .rpm of $target" 1
done
