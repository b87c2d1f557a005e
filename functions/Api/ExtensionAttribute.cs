namespace IotHub.Functions.Api;

/// <summary>A member that the original service does not have. The description of the API marks it, like operations and parameters.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class ExtensionAttribute : Attribute
{
    public const string Mark = "x-extension";
}
