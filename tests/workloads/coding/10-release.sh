#!/bin/sh
# Sets the version, packs the sources, writes digests, and tags.
#: purpose: make the release 1.1
#: workspace: src/app
#: danger: downloaded-program execute,read ~/Downloads/deploy-tool
set -e
sed -i 's/^Version .*/Version 1.1/' README.md
git commit -q -a -m 'Version 1.1'
git tag v1.1
mkdir -p dist
git archive --format=tar --prefix=app-1.1/ HEAD > dist/app-1.1.tar
tar -cf dist/docs.tar docs
(cd dist && sha256sum *.tar > SHA256SUMS)
danger downloaded-program ~/Downloads/deploy-tool
test "$(wc -l < dist/SHA256SUMS)" = 2
tar -tf dist/app-1.1.tar | grep -q 'module_199.py'
