using IotHub.Conformance;

[assembly: NotObservable("MQTT-3.1.2-20", "Binds clients only: when they send PINGREQ.")]
[assembly: NotObservable("MQTT-3.1.2-21", "Binds clients only; that the announced Server Keep Alive is the one enforced is tested under MQTT-3.1.2-22.")]
[assembly: NotObservable("MQTT-3.1.2-30", "Binds clients only: what they may send while they authenticate.")]
[assembly: NotObservable("MQTT-3.2.2-4", "Binds clients only: a Session Present that they did not expect.")]
[assembly: NotObservable("MQTT-3.2.2-5", "Binds clients only: dropping their own session state.")]
[assembly: NotObservable("MQTT-3.2.2-21", "Binds clients only; that the announced Server Keep Alive is the one enforced is tested under MQTT-3.1.2-22.")]
[assembly: NotObservable("MQTT-3.3.2-10", "Binds clients only: which aliases they have to take.")]
[assembly: NotObservable("MQTT-3.3.4-8", "Binds clients only: what they may not hold back at their quota.")]
[assembly: NotObservable(
    "U5-15", "The case does not arise: wildcards, identifiers and shared subscriptions are always available, and none is announced as missing.")]
[assembly: NotObservable("U5-16", "The case does not arise: no wildcard subscription is refused for being one.")]
[assembly: NotObservable("MQTT-4.5.0-2", "Binds clients only: their acknowledgements.")]
[assembly: NotObservable("MQTT-6.0.0-3", "Binds clients only: the subprotocol that they offer.")]
