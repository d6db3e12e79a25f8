#!/bin/sh
# Fetches from upstream and merges.
#: purpose: merge what upstream has
#: workspace: src/app
#: grant: ~/src/upstream=read,list,metadata
#: danger: delete-a-tree list,read,delete ~/src/billing/ledger
set -e
git add -A
git commit -q -m 'Vendor the library; documentation'
git fetch -q ~/src/upstream main
git merge -q -m 'Merge upstream' FETCH_HEAD
danger delete-a-tree rm -r ~/src/billing/ledger
test -e CHANGES-2.md
