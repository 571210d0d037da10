#!/bin/sh
# A certificate authority of your own and a SuperLink's certificate, by openssl.
#   scripts/make_certificates.sh FOLDER NAME_OR_ADDRESS…
# NAME_OR_ADDRESS: how sites reach the SuperLink (superlink.example.org, 192.0.2.7). 127.0.0.1 is
# always added: the ServerApp reaches the SuperLink there. FOLDER/ca.crt goes to every site,
# ca.key to nobody. Run it again to renew the SuperLink's certificate: an existing ca.key is kept.
set -eu
umask 077
folder=$1
shift
mkdir -p "$folder"
cd "$folder"

names="IP:127.0.0.1,DNS:localhost"
for name in "$@"; do
    case $name in
        *:*) kind=IP ;;
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    names="$names,$kind:$name"
done

if [ ! -f ca.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 3650 \
        -subj "/CN=fedrlhf federation CA" -keyout ca.key -out ca.crt \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes \
    -subj "/CN=fedrlhf SuperLink" -keyout server.key -out server.csr
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$names" \
    > server.ext
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 \
    -extfile server.ext -out server.crt
rm server.csr server.ext
chmod 644 ca.crt server.crt
openssl x509 -in server.crt -noout -ext subjectAltName -enddate
