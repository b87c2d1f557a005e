namespace IotHub.Harness.Mqtt;

/// <summary>Says which statements of the standard a conformance test holds the broker to, for example <c>MQTT-3.1.0-1</c>.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class StatementAttribute(params string[] ids) : Attribute
{
    public IReadOnlyList<string> Ids { get; } = ids;

    /// <summary>5 or 4 (3.1.1): the two standards number alike and mean different things.</summary>
    public int Version { get; init; } = 5;
}
