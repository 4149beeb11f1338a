"""Keys planted in events wherever one can stand: each event by where its key is.

Belongs here: what is sent. How written bytes are searched for it is for `search`.
"""

import json

KEY = "canary0123456789abcdef0123456789"
LOGGED_AS_ID = "ca7a2f0123456789abcdef0123456789"
"""A key of the gateway's form, logged by mistake where the subscription's id belongs."""


def envelope(key: object = KEY, request: str = "{}", response: str = "{}", **others: object) -> bytes:
    fields = {
        "EventTime": "2026-11-01T10:00:00.1234567Z",
        "AppSubscriptionKey": key,
        "Request": request,
        "Response": response,
    }
    return json.dumps(fields | others, indent=2).encode()


CAMEL_CASE: dict[str, object] = {
    "eventTime": "2026-11-01T10:00:00Z",
    "appSubscriptionKey": KEY,
    "request": "{}",
    "response": "{}",
    "apiOperation": "ChatCompletions_Create",
}
POLICY: dict[str, object] = {"recordVersion": 1, "requestId": "r", "subscriptionId": "s", "response": "{}"}
METERED: dict[str, object] = {"model": "m", "promptTokens": "1", "responseTokens": 1, "totalTokens": 2}


def diagnostics(url: str, message: str = "", headers: object = None) -> bytes:
    """Both logs of one call, the key wherever a gateway may log it."""
    gateway = {"url": url, "requestHeaders": headers, "responseCode": 200}
    messages = [{"role": "user", "content": message}]
    llm = {"sequenceNumber": 0, "promptTokens": 1, "totalTokens": 1, "requestMessages": messages}
    logs = (("GatewayLogs", gateway), ("GatewayLlmLogs", llm), ("GatewayLogs", json.dumps(gateway)))
    records = [{"category": name, "correlationId": "c", "properties": each} for name, each in logs]
    return json.dumps({"records": records}).encode()


EVENTS = {
    "in its own field": envelope(),
    "in the request": envelope(
        request=json.dumps({"model": "gpt-4o", "messages": [{"content": f"my key: {KEY}"}]})
    ),
    "in the response": envelope(response=json.dumps({"error": {"message": f"Access denied for {KEY}"}})),
    "as the user": envelope(request=json.dumps({"model": "gpt-4o", "user": KEY})),
    "as the model": envelope(
        response=json.dumps({"model": KEY, "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    ),
    "as a count": envelope(response=json.dumps({"model": "m", "usage": {"prompt_tokens": KEY}})),
    "in a field of no contract": json.dumps({"AppSubscriptionKey": KEY, "Trace": f"key={KEY}"}).encode(),
    "in an envelope that was cut": envelope(request="x" * 500)[:400],
    "in an envelope that was cut within the key": envelope()[: envelope().index(KEY.encode()) + 20],
    "in an object of other fields": json.dumps({"appSubscriptionKey": KEY, "response": {}}).encode(),
    "in a header that was logged": json.dumps({"headers": {"Ocp-Apim-Subscription-Key": KEY}}).encode(),
    "in text with a stray byte": b'{"AppSubscriptionKey": "' + KEY.encode() + b'", \xff',
    "in an envelope within a text": json.dumps(envelope().decode()).encode(),
    "in UTF-16": envelope().decode().encode("utf-16"),
    "in an array, as gateways hold headers": envelope([KEY]),
    "in an object": envelope({"primary": KEY}, request=KEY),
    "in an array of another field": envelope("", headers={"Ocp-Apim-Subscription-Key": [KEY]}),
    "after its name": envelope("", request=KEY, headers=[{"name": "api-key", "value": KEY}]),
    "before its name": envelope("", response=KEY, headers=[{"value": KEY, "name": "api-key"}]),
    "in camel case and in the texts": envelope("", request=KEY, response=KEY, appSubscriptionKey=KEY),
    "by its name in the request": envelope("", request=json.dumps({"api-key": KEY}), response=KEY),
    "by its name in a text of the response": envelope(
        "", response=json.dumps({"content": json.dumps({"Ocp-Apim-Subscription-Key": [KEY]})})
    ),
    "in white space": envelope(f" {KEY}\n", request=KEY),
    "in upper case": envelope(request=KEY.upper()),
    "in lower case": envelope(KEY.upper(), response=KEY),
    "in camel case": json.dumps(CAMEL_CASE | {"request": f"my key: {KEY}", "response": KEY.upper()}).encode(),
    "in camel case that was cut": json.dumps(CAMEL_CASE).encode()[:150],
    "in a record of our policy": json.dumps(
        POLICY | {"request": f"api-key: {KEY}", "headers": {"api-key": KEY}, "userClaims": {"oid": KEY}}
    ).encode(),
    "in a metered record": json.dumps(METERED | {"subscriptionKey": KEY, "productName": KEY}).encode(),
    "in the URL of a diagnostic record": diagnostics(f"https://apim.example/x?subscription-key={KEY}"),
    "in diagnostics of properties as text": diagnostics(json.dumps({"requestHeaders": {"api-key": KEY}})),
    "in a message that would spoil its record": diagnostics(
        f"Authorization: Bearer {KEY}", "my api-key: ", {"Api-Key": [KEY]}
    ),
    "as the id of a subscription": json.dumps(
        POLICY | {"subscriptionId": LOGGED_AS_ID, "request": f"my key: {LOGGED_AS_ID}", "x": LOGGED_AS_ID}
    ).encode(),
    "as the id in a metered record": json.dumps(METERED | {"subscriptionId": LOGGED_AS_ID.upper()}).encode(),
    "as the id in an array": json.dumps([METERED | {"subscriptionId": LOGGED_AS_ID}, 7]).encode(),
    "as the id in diagnostics": diagnostics("/x", LOGGED_AS_ID, {"apimSubscriptionId": LOGGED_AS_ID}),
    "as the id in a record that was cut": json.dumps(
        POLICY | {"subscriptionId": LOGGED_AS_ID, "request": LOGGED_AS_ID, "response": "x" * 99}
    ).encode()[:-50],
    "as the id in no known shape": json.dumps({"subscriptionId": LOGGED_AS_ID, "x": 1}).encode(),
    "as a subscription's two keys": json.dumps(
        POLICY | {"subscription": {"primaryKey": KEY, "secondaryKey": KEY.upper()}, "response": KEY}
    ).encode(),
    "in a header of a function": envelope("", headers={"x-functions-key": KEY}, request=KEY),
    "by its name in a text": envelope("", request=json.dumps({"primaryKey": KEY}), response=KEY),
    "in an array of events": json.dumps([CAMEL_CASE, json.loads(envelope()), METERED]).encode(),
}
