#!/bin/sh
# Clones a repository into the workspace: each change of its .git/config is asked about, the hooks' samples are left out.
#: purpose: clone upstream to look at it
#: workspace: src/new
#: grant: ~/src/upstream=read,list,metadata
#: approve: create ~/src/new/upstream/.git
#: approve: create,write,delete ~/src/new/upstream/.git/config
#: danger: git-hook write,append,create ~/src/new/upstream/.git/hooks/pre-commit
set -e
git clone -q --template= --no-hardlinks ~/src/upstream upstream
cd upstream
test "$(git log --oneline | wc -l)" = 4
danger git-hook sh -c 'mkdir -p .git/hooks && echo "#!/bin/sh" > .git/hooks/pre-commit'
