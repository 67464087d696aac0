#!/usr/bin/env bash
# Writes the Homebrew formula and the Nix flake of a release, with the checksums of its archives.
#
# in:  OUT          folder with the archives; gets the two
#      TAG          of the release, v and the package's version
#      REPOSITORY   owner/name
# out: OUT/oc-secrets.rb, OUT/flake.nix
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need OUT TAG REPOSITORY
matches "$TAG" 'v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?' || die "$TAG is no version" 2
matches "$REPOSITORY" '[A-Za-z0-9._-]+/[A-Za-z0-9._-]+' || die 'REPOSITORY is not owner/name' 2
from=https://github.com/$REPOSITORY/releases/download/$TAG

for target in {aarch64,x86_64}-{apple-darwin,unknown-linux-musl}; do
	[[ -s $OUT/oc-secrets-$target.tar.gz ]] || die "no archive for $target" 1
done

checksum() { # checksum TARGET: in hex
	local line
	line=$(sha256sum "$OUT/oc-secrets-$1.tar.gz")
	printf '%s' "${line%% *}"
}

formula_of() { # formula_of INDENT TARGET
	printf '%surl "%s/oc-secrets-%s.tar.gz"\n%ssha256 "%s"\n' "$1" "$from" "$2" "$1" "$(checksum "$2")"
}

cat >"$OUT/oc-secrets.rb" <<END
class OcSecrets < Formula
  desc "1Password secrets broker: one op, any number of secrets, nothing on disk"
  homepage "https://github.com/$REPOSITORY"
  version "${TAG#v}"
  license "MIT"

  on_macos do
    on_arm do
$(formula_of '      ' aarch64-apple-darwin)
    end
    on_intel do
$(formula_of '      ' x86_64-apple-darwin)
    end
  end

  on_linux do
    on_arm do
$(formula_of '      ' aarch64-unknown-linux-musl)
    end
    on_intel do
$(formula_of '      ' x86_64-unknown-linux-musl)
    end
  end

  def install
    bin.install "oc-secrets", "docker-credential-oc", "git-credential-oc", "openclaw-deploy"
    generate_completions_from_executable(bin/"oc-secrets", "completions")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/oc-secrets --version")
  end
end
END

flake_of() { # flake_of SYSTEM TARGET
	printf '        %s = { target = "%s"; sha256 = "%s"; };\n' "$1" "$2" "$(checksum "$2")"
}

cat >"$OUT/flake.nix" <<END
{
  description = "1Password secrets broker: one op, any number of secrets, nothing on disk";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      version = "${TAG#v}";
      archives = {
$(flake_of x86_64-linux x86_64-unknown-linux-musl)
$(flake_of aarch64-linux aarch64-unknown-linux-musl)
$(flake_of x86_64-darwin x86_64-apple-darwin)
$(flake_of aarch64-darwin aarch64-apple-darwin)
      };
      package = system: archive:
        nixpkgs.legacyPackages.\${system}.stdenvNoCC.mkDerivation {
          pname = "oc-secrets";
          inherit version;
          src = nixpkgs.legacyPackages.\${system}.fetchurl {
            url = "$from/oc-secrets-\${archive.target}.tar.gz";
            inherit (archive) sha256;
          };
          dontBuild = true;
          dontPatchELF = true;
          dontStrip = true;
          installPhase = ''
            install -D -m 755 -t \$out/bin oc-secrets docker-credential-oc git-credential-oc openclaw-deploy
          '';
          meta.mainProgram = "oc-secrets";
        };
    in {
      packages = builtins.mapAttrs (system: archive: { default = package system archive; }) archives;
    };
}
END
