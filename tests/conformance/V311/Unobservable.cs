using IotHub.Conformance;

[assembly: NotObservable("MQTT-2.3.1-2", "Binds clients only: identifiers of their own packets.", Version = 4)]
[assembly: NotObservable("MQTT-2.3.1-3", "Binds clients only: identifiers of their own packets.", Version = 4)]
[assembly: NotObservable("MQTT-3.1.2-23", "Binds clients only: when they send PINGREQ.", Version = 4)]
[assembly: NotObservable("MQTT-3.14.4-1", "Binds clients only; that the server closes as well is tested under MQTT-3.14.4-3.", Version = 4)]
[assembly: NotObservable("MQTT-3.14.4-2", "Binds clients only; that nothing behind a DISCONNECT has an effect is tested under MQTT-3.14.4-3.", Version = 4)]
[assembly: NotObservable("MQTT-4.5.0-2", "Binds clients only: their acknowledgements.", Version = 4)]
[assembly: NotObservable("MQTT-6.0.0-3", "Binds clients only: the subprotocol that they offer.", Version = 4)]
[assembly: NotObservable("MQTT-7.0.0-1", "The case does not arise: the broker opens no MQTT connection to another server.", Version = 4)]
[assembly: NotObservable("MQTT-7.1.2-1", "Binds clients only: the transports that they support.", Version = 4)]
