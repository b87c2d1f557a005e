namespace IotHub.Conformance;

/// <summary>Says why a statement of the standard has no test: it binds clients only, or nothing outside of the broker could tell.</summary>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
public sealed class NotObservableAttribute(string id, string reason) : Attribute
{
    public string Id { get; } = id;
    public string Reason { get; } = reason;

    /// <summary>5 or 4 (3.1.1), as in <see cref="Harness.Mqtt.StatementAttribute.Version"/>.</summary>
    public int Version { get; init; } = 5;
}
