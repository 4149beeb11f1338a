"""The tests of the SDK's live suite that are not run against the local broker, each with its reason.

Belongs here: the documented list. A test stays on it only while the reason holds; an id that the suite
no longer has makes `test_sdk_live` fail.
"""

_WEBSOCKET = "needs an optional websocket library and AMQP over websockets; the broker speaks plain TCP"
_PROXY = "needs an optional websocket library to go through an HTTP proxy"
_BLOB = "needs a blob storage account and the management API, to keep checkpoints and make consumer groups"
_SLEEPS = "waits for 220 seconds in one sleep"
_ENDS_WITH_WEBSOCKET = "passes but for its last part, which needs websockets; takes up to four minutes"
_FAULT_INJECTOR = "needs Microsoft's fault injector, a separate program"

DESELECTED: dict[str, str] = {
    "livetest/asynctests/test_auth_async.py::test_client_with_ssl_context_async[ws]": _WEBSOCKET,
    "livetest/asynctests/test_buffered_producer_async.py::test_long_sleep[pyamqp]": _SLEEPS,
    "livetest/asynctests/test_consumer_client_async.py::test_receive_storage_checkpoint_async[pyamqp]": _BLOB,
    "livetest/asynctests/test_negative_async.py::"
    "test_client_invalid_credential_async[pyamqp]": _ENDS_WITH_WEBSOCKET,
    "livetest/asynctests/test_negative_async.py::test_invalid_proxy_server[pyamqp]": _PROXY,
    "livetest/asynctests/test_receive_async.py::test_receive_over_websocket_async[pyamqp]": _WEBSOCKET,
    "livetest/asynctests/test_send_async.py::test_send_over_websocket_async[pyamqp]": _WEBSOCKET,
    "livetest/asynctests/test_send_async.py::test_send_with_create_event_batch_async[pyamqp]": _WEBSOCKET,
    "livetest/synctests/test_auth.py::test_client_with_ssl_context[ws]": _WEBSOCKET,
    "livetest/synctests/test_buffered_producer.py::test_long_sleep[pyamqp]": _SLEEPS,
    "livetest/synctests/test_consumer_client.py::test_receive_storage_checkpoint[pyamqp]": _BLOB,
    "livetest/synctests/test_faultinjector.py::"
    "test_receive_partition_using_fault_injector_detach_after_delay[faultinjector0]": _FAULT_INJECTOR,
    "livetest/synctests/test_negative.py::test_client_invalid_credential[pyamqp]": _ENDS_WITH_WEBSOCKET,
    "livetest/synctests/test_negative.py::test_invalid_proxy_server[pyamqp]": _PROXY,
    "livetest/synctests/test_receive.py::test_receive_over_websocket_sync[pyamqp]": _WEBSOCKET,
    "livetest/synctests/test_send.py::test_send_over_websocket_sync[pyamqp]": _WEBSOCKET,
    "livetest/synctests/test_send.py::"
    "test_send_with_create_event_batch_with_app_prop_sync[pyamqp]": _WEBSOCKET,
    "pyamqp_tests/asynctests/test_websocket_async.py::test_event_hubs_client_web_socket_async": _WEBSOCKET,
    "pyamqp_tests/synctests/test_websocket.py::test_event_hubs_client_web_socket": _WEBSOCKET,
}
