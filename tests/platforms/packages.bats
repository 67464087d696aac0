#!/usr/bin/env bats
# The packages of a release, made by the release's own script of the static programs, are installed, upgraded, removed and
# purged in guests of every distribution that we promise to run on.

load helpers
bats_require_minimum_version 1.5.0
load ../host/guest.bash

setup_file() {
	copy_project "$BATS_FILE_TMPDIR/project"
	fine packages
}

deb() { echo "$DIST/oc-secrets_$(version)_$1.deb"; } # deb ARCHITECTURE

@test "lintian has nothing to say of the packages" {
	run inside lintian --allow-root --fail-on error,warning /target/dist/oc-secrets_"$(version)"_{amd64,arm64}.deb
	is 0 "$status"
	is '' "$output"
}

@test "the control: without what we declare to be on purpose it has" {
	run inside lintian --allow-root --no-override --fail-on error,warning "/target/dist/oc-secrets_$(version)_amd64.deb"
	[[ $status -ne 0 ]]
	says statically-linked-binary
}

@test "the packages hold the programs of the archives, pages, units, and what belongs to a package" {
	unpack x86_64-unknown-linux-musl "$BATS_TEST_TMPDIR/archive"
	dpkg-deb --extract "$(deb amd64)" "$BATS_TEST_TMPDIR/deb"
	for program in oc-secrets docker-credential-oc git-credential-oc openclaw-deploy; do
		cmp "$BATS_TEST_TMPDIR/archive/$program" "$BATS_TEST_TMPDIR/deb/usr/bin/$program"
		[[ -s $BATS_TEST_TMPDIR/deb/usr/share/man/man1/$program.1.gz ]]
		[[ -s $BATS_TEST_TMPDIR/deb/usr/share/bash-completion/completions/$program ]]
		[[ -s $BATS_TEST_TMPDIR/deb/usr/share/fish/vendor_completions.d/$program.fish ]]
	done
	[[ -s $BATS_TEST_TMPDIR/deb/usr/share/zsh/vendor-completions/_oc-secrets ]]
	[[ -s $BATS_TEST_TMPDIR/deb/usr/share/man/man1/oc-secrets-docker-install.1.gz ]]
	[[ -s $BATS_TEST_TMPDIR/deb/usr/share/doc/oc-secrets/copyright ]]
	for unit in "$PROJECT"/shell/systemd/*; do
		cmp "$unit" "$BATS_TEST_TMPDIR/deb/usr/lib/systemd/system/${unit##*/}"
	done
	is arm64 "$(dpkg-deb --field "$(deb arm64)" Architecture)"
	dpkg-deb --extract "$(deb arm64)" "$BATS_TEST_TMPDIR/arm"
	[[ $(readelf --file-header "$BATS_TEST_TMPDIR/arm/usr/bin/oc-secrets") == *AArch64* ]]
}

@test "rpm finds its digests right, the same files, and no library that is wanted" {
	fine inside rpm --checksig --nosignature "/target/dist/oc-secrets-$(version).x86_64.rpm" "/target/dist/oc-secrets-$(version).aarch64.rpm"
	run inside rpm --query --package --list "/target/dist/oc-secrets-$(version).x86_64.rpm"
	for file in /usr/bin/{oc-secrets,docker-credential-oc,git-credential-oc,openclaw-deploy} /usr/share/man/man1/oc-secrets.1.gz /usr/lib/systemd/system/oc-secrets.service; do
		says "$file"
	done
	run inside rpm --query --package --requires "/target/dist/oc-secrets-$(version).x86_64.rpm"
	[[ $output != *.so* ]] || { echo "$output" && return 1; }
	printf 'X' | dd of="$SID/target/dist/oc-secrets-$(version).aarch64.rpm" bs=1 seek=100000 conv=notrunc status=none # the control
	run inside rpm --checksig --nosignature "/target/dist/oc-secrets-$(version).aarch64.rpm"
	[[ $status -ne 0 ]]
}

@test "rpm installs it into an empty root, and takes all of it away again" {
	local root=/target/rpm-root
	rm -rf "$SID$root" && mkdir -p "$SID$root"
	fine inside rpm --root "$root" --initdb
	fine inside rpm --root "$root" --nodeps --noscripts --install "/target/dist/oc-secrets-$(version).x86_64.rpm"
	is "oc-secrets $(version)" "$("$SID$root/usr/bin/oc-secrets" --version)"
	fine inside rpm --root "$root" --verify --nodeps oc-secrets
	fine inside rpm --root "$root" --nodeps --noscripts --erase oc-secrets
	is '' "$(find "$SID$root/usr" -type f -not -path '*/rpm/*')"
}

# life SUITE: a package's life in a guest of SUITE
life() {
	local newer=$BATS_TEST_TMPDIR/newer
	dpkg-deb --raw-extract "$(deb amd64)" "$newer"
	sed -i "s/^Version: .*/Version: $(version)+1/" "$newer/DEBIAN/control"
	guest_of "$1"
	cp "$(deb amd64)" "$GUEST/root/root/old.deb"
	dpkg-deb --root-owner-group --build "$newer" "$GUEST/root/root/new.deb" >/dev/null

	apt install /root/old.deb
	is "oc-secrets $(version)" "$(guest oc-secrets --version)"
	fine guest oc-secrets demo
	fine guest systemctl cat oc-secrets.service
	is disabled "$(guest systemctl is-enabled oc-secrets.service)"
	is inactive "$(guest systemctl is-active oc-secrets.service)"

	guest systemctl enable --now oc-secrets.service 2>/dev/null
	apt install /root/new.deb
	is "$(version)+1" "$(guest dpkg-query -W -f '${Version}' oc-secrets)"
	is enabled "$(guest systemctl is-enabled oc-secrets.service)"

	apt remove oc-secrets
	run -127 guest oc-secrets --version
	[[ $(guest systemctl is-active oc-secrets.service) != active ]]
	apt purge oc-secrets
	is '' "$(guest find / -xdev -name '*oc-secrets*' -not -path '/proc/*' -not -path '/var/log/*' -not -path '/root/*')"
}

teardown() {
	[[ -z ${GUEST-} ]] || guest_stop
}

@test "in Debian 12 it is installed, upgraded, removed and purged" {
	life bookworm
}

@test "in Debian 13 it is installed, upgraded, removed and purged" {
	life trixie
}

@test "in Ubuntu 24.04 it is installed, upgraded, removed and purged" {
	life noble
}
