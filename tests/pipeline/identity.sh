# shellcheck shell=bash
# Sourced: an authority like Sigstore's, made for one run, that certifies workflows of GitHub. With it signatures are
# made and checked as in earnest, certificate and identity included; only the public log has no part in it.

make_authority() { # make_authority FOLDER
	export AUTHORITY=$1
	mkdir -p "$AUTHORITY"
	openssl ecparam -name prime256v1 -genkey -noout -out "$AUTHORITY/ca.key"
	openssl req -x509 -new -key "$AUTHORITY/ca.key" -days 30 -subj '/O=test/CN=test' -out "$AUTHORITY/ca.pem" \
		-addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign' -addext 'extendedKeyUsage=codeSigning' 2>/dev/null
	jq -n --arg ca "$(openssl x509 -in "$AUTHORITY/ca.pem" -outform DER | base64 -w0)" \
		'{mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1", certificateAuthorities: [{subject: {organization: "test", commonName: "test"},
			uri: "https://authority.example", certChain: {certificates: [{rawBytes: $ca}]}, validFor: {start: "2020-01-01T00:00:00Z"}}]}' >"$AUTHORITY/root.json"
}

# certify NAME IDENTITY: a key and a certificate for one workflow, such as
# https://github.com/Owner/Repo/.github/workflows/release.yml@refs/tags/v1.2.3
certify() {
	local base=$AUTHORITY/$1 issuer=https://token.actions.githubusercontent.com
	cat >"$base.cnf" <<-END
		basicConstraints=CA:FALSE
		keyUsage=critical,digitalSignature
		extendedKeyUsage=codeSigning
		subjectAltName=critical,URI:$2
		1.3.6.1.4.1.57264.1.1=DER:$(printf '%s' "$issuer" | od -An -tx1 | tr -d ' \n')
		1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:$issuer
	END
	COSIGN_PASSWORD='test' cosign generate-key-pair --output-key-prefix "$base" &>/dev/null # NAME.key, NAME.pub
	openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj / -out "$base.csr" 2>/dev/null
	openssl x509 -req -in "$base.csr" -force_pubkey "$base.pub" -CA "$AUTHORITY/ca.pem" -CAkey "$AUTHORITY/ca.key" -CAcreateserial \
		-days 20 -extfile "$base.cnf" -out "$base.pem" 2>/dev/null
}

sign_blob_as() { # sign_blob_as NAME FILE BUNDLE: what `cosign sign-blob --bundle` writes in a workflow
	local signature
	signature=$(COSIGN_PASSWORD=test COSIGN_TLOG_UPLOAD=false COSIGN_USE_SIGNING_CONFIG=false COSIGN_NEW_BUNDLE_FORMAT=false cosign sign-blob --yes --key "$AUTHORITY/$1.key" "$2" 2>/dev/null)
	jq -n --arg certificate "$(openssl x509 -in "$AUTHORITY/$1.pem" -outform DER | base64 -w0)" --arg signature "$signature" \
		--arg digest "$(openssl dgst -sha256 -binary "$2" | base64 -w0)" \
		'{mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", verificationMaterial: {certificate: {rawBytes: $certificate}},
			messageSignature: {messageDigest: {algorithm: "SHA2_256", digest: $digest}, signature: $signature}}' >"$3"
}
