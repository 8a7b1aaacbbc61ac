#!/bin/sh
# Makes the certificates of the unit tests, good for a hundred years. The keys are known to
# everybody who has this repository: they are of no use elsewhere.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cat > "$work/ca.conf" <<CONF
[ca]
default_ca = tests
[tests]
database = $work/index
new_certs_dir = $work
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
organizationName = optional
commonName = optional
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[leaf]
basicConstraints = CA:FALSE
CONF
: > "$work/index"
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
sign() { # name, kind of extensions, further arguments
    name=$1 kind=$2
    shift 2
    openssl ca -batch -notext -config "$work/ca.conf" -extensions "$kind" -in "$work/$name.csr" \
        -startdate 20200101000000Z -enddate 21200101000000Z -keyfile "$work/ca.key" "$@" \
        -out "$name.pem"
}
key "$work/ca.key"
openssl req -new -key "$work/ca.key" -subj "/O=Moon tests/CN=authority" -out "$work/ca.csr"
sign ca authority -selfsign
key server.key
openssl req -new -key server.key -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -out "$work/server.csr"
sign server leaf -cert ca.pem
key client.key
openssl req -new -key client.key -subj /CN=alice -addext subjectAltName=URI:urn:user:alice \
    -out "$work/client.csr"
sign client leaf -cert ca.pem
openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:moonlight -in server.key -out server-encrypted.key
