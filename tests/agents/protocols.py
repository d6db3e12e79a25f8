"""The protocols that agents speak to models, as far as a scripted model needs them: what a request offers and answers, and a reply in its form.

Each protocol is a class with `tools`, `results` (the text of each answered call, in order), `streams`, `whole(said)` and `events(said)`. What a
model says is a `Say` or a `Call` of `model.py`.
"""

import json
import re

MODEL = "scripted-1"


def of(path):
    """The protocol of a path, a fixed answer, or nothing."""
    if path.endswith("/messages/count_tokens"):
        return {"input_tokens": 100}
    if ":countTokens" in path:
        return {"totalTokens": 100}
    if path.endswith("/messages"):
        return Anthropic
    if path.endswith("/chat/completions"):
        return Chat
    if path.endswith("/responses"):
        return Responses
    if re.search(r":(streamGenerateContent|generateContent)$", path):
        return Gemini
    return None


def models():
    """A list of models that more than one protocol reads."""
    entry = {"id": MODEL, "object": "model", "type": "model", "display_name": MODEL, "created": 0, "owned_by": "test"}
    return {"object": "list", "data": [entry], "models": [], "has_more": False}


def is_call(said):
    return hasattr(said, "tool")


def texts(content):
    """The text of content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return json.dumps(content)
    return "\n".join(part.get("text", "") if isinstance(part, dict) else str(part) for part in content)


def event(kind, data):
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


class Anthropic:
    """Messages."""

    def __init__(self, body, _path, tool):
        self.streams = body.get("stream", False)
        self.tools = [tool(each["name"], each.get("input_schema", {})) for each in body.get("tools", []) if "name" in each]
        self.results = [
            texts(part.get("content", ""))
            for message in body.get("messages", []) if isinstance(message.get("content"), list)
            for part in message["content"] if part.get("type") == "tool_result"
        ]

    def block(self, said):
        if is_call(said):
            return {"type": "tool_use", "id": said.id, "name": said.tool.name, "input": said.arguments}
        return {"type": "text", "text": said.text}

    def head(self):
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 10},
        }

    def whole(self, said):
        reason = "tool_use" if is_call(said) else "end_turn"
        return self.head() | {"content": [self.block(said)], "stop_reason": reason}

    def events(self, said):
        block = self.block(said)
        if is_call(said):
            start = block | {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(said.arguments)}
        else:
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": said.text}
        reason = self.whole(said)["stop_reason"]
        yield event("message_start", {"type": "message_start", "message": self.head()})
        yield event("content_block_start", {"type": "content_block_start", "index": 0, "content_block": start})
        yield event("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})
        yield event("content_block_stop", {"type": "content_block_stop", "index": 0})
        end = {"stop_reason": reason, "stop_sequence": None}
        yield event("message_delta", {"type": "message_delta", "delta": end, "usage": {"output_tokens": 10}})
        yield event("message_stop", {"type": "message_stop"})


class Chat:
    """Chat Completions."""

    def __init__(self, body, _path, tool):
        self.streams = body.get("stream", False)
        functions = [each["function"] for each in body.get("tools", []) if each.get("type") == "function"]
        self.tools = [tool(each["name"], each.get("parameters") or {}) for each in functions]
        self.results = [texts(message.get("content")) for message in body.get("messages", []) if message.get("role") == "tool"]

    def message(self, said):
        if not is_call(said):
            return {"role": "assistant", "content": said.text}
        function = {"name": said.tool.name, "arguments": json.dumps(said.arguments)}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": said.id, "type": "function", "function": function}]}

    def head(self, kind):
        return {"id": "chat_1", "object": kind, "created": 0, "model": MODEL}

    def whole(self, said):
        reason = "tool_calls" if is_call(said) else "stop"
        choice = {"index": 0, "message": self.message(said), "finish_reason": reason}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        return self.head("chat.completion") | {"choices": [choice], "usage": usage}

    def events(self, said):
        delta = self.message(said)
        for index, call in enumerate(delta.get("tool_calls", [])):
            call["index"] = index
        whole = self.whole(said)
        head = self.head("chat.completion.chunk")
        first = {"index": 0, "delta": delta, "finish_reason": None}
        last = {"index": 0, "delta": {}, "finish_reason": whole["choices"][0]["finish_reason"]}
        yield f"data: {json.dumps(head | {'choices': [first]})}\n\n"
        yield f"data: {json.dumps(head | {'choices': [last], 'usage': whole['usage']})}\n\n"
        yield "data: [DONE]\n\n"


class Responses:
    """Responses."""

    def __init__(self, body, _path, tool):
        self.streams = body.get("stream", False)
        self.tools = []
        for each in body.get("tools", []):
            if each.get("type") == "function":
                self.tools.append(tool(each["name"], each.get("parameters") or {}))
            elif each.get("type") == "namespace":
                inner = each.get("tools", [])
                self.tools += [tool(one["name"], one.get("parameters") or {}, each["name"]) for one in inner]
        kept = body.get("input", [])
        items = kept if isinstance(kept, list) else []
        self.results = [texts(item.get("output", "")) for item in items if item.get("type") == "function_call_output"]

    def item(self, said):
        if is_call(said):
            arguments = json.dumps(said.arguments)
            item = {
                "type": "function_call", "id": f"fc_{said.number}", "call_id": said.id, "name": said.tool.name,
                "arguments": arguments, "status": "completed",
            }
            return item if said.tool.group is None else item | {"namespace": said.tool.group}
        content = [{"type": "output_text", "text": said.text, "annotations": []}]
        return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}

    def whole(self, said):
        usage = {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20,
        }
        head = {"id": "resp_1", "object": "response", "created_at": 0, "model": MODEL, "status": "completed"}
        return head | {"output": [self.item(said)], "usage": usage}

    def events(self, said):
        whole, item = self.whole(said), self.item(said)
        begun = whole | {"status": "in_progress", "output": [], "usage": None}
        yield event("response.created", {"type": "response.created", "response": begun})
        yield event("response.output_item.added", {"type": "response.output_item.added", "output_index": 0, "item": item})
        if not is_call(said):
            delta = {"type": "response.output_text.delta", "item_id": item["id"], "output_index": 0, "content_index": 0}
            yield event("response.output_text.delta", delta | {"delta": said.text})
        yield event("response.output_item.done", {"type": "response.output_item.done", "output_index": 0, "item": item})
        yield event("response.completed", {"type": "response.completed", "response": whole})


class Gemini:
    """`generateContent`."""

    def __init__(self, body, path, tool):
        self.streams = path.endswith(":streamGenerateContent")
        declared = [one for each in body.get("tools", []) for one in each.get("functionDeclarations", [])]
        self.tools = [tool(one["name"], one.get("parametersJsonSchema") or one.get("parameters") or {}) for one in declared]
        self.results = [
            json.dumps(part["functionResponse"].get("response"), ensure_ascii=False)
            for content in body.get("contents", []) for part in content.get("parts", []) if "functionResponse" in part
        ]

    def whole(self, said):
        if is_call(said):
            part = {"functionCall": {"id": said.id, "name": said.tool.name, "args": said.arguments}}
        else:
            part = {"text": said.text}
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}

    def events(self, said):
        yield f"data: {json.dumps(self.whole(said))}\n\n"
