namespace IotHub.Conformance.Hostile;

/// <summary>Says which limit of <c>BrokerLimits</c> a test goes one over, and what the client sees then.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class LimitAttribute(string name, string outcome) : Attribute
{
    public string Name { get; } = name;
    public string Outcome { get; } = outcome;
}
