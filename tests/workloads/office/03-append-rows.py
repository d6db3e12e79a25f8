"""Appends this week's rows to a report, by the typed operation."""
#: purpose: enter this week's sales in the report of the first quarter
#: workspace: Finance
#: policy: finance
#: approve: append,read,metadata ~/Finance/Reports/Q1.xlsx
#: danger: browser-profile read,metadata ~/.mozilla/firefox/x1.default/logins.json
import http.client
import json
import os
import socket


class Door(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/valetkey/agent.sock")


def append(report, rows):
    door = Door("valetkey", timeout=60)
    body = {"operation": "sheet.append_rows", "resource": f"file:{os.path.realpath(report)}", "sheet": "Sales", "rows": rows,
            "justification": "the sales of this week"}
    door.request("POST", "/v1/operations", json.dumps(body), {"content-type": "application/json"})
    answer = door.getresponse()
    return answer.status, json.loads(answer.read())


danger("browser-profile", lambda: open(os.path.expanduser("~/.mozilla/firefox/x1.default/logins.json")).read())
assert sorted(os.listdir("Reports")) == ["Q1.xlsx", "Q2.xlsx"]
sizes = {name: len(open(f"Reports/{name}", "rb").read()) for name in os.listdir("Reports")}
row = ["2026-01-17", "North", "Widgets", 3, 1250.5]
status, done = append("Reports/Q1.xlsx", [row, row, row])
assert status == 200 and done["report"]["rows"] == 3, (status, done)
assert len(open("Reports/Q1.xlsx", "rb").read()) != sizes["Q1.xlsx"]
