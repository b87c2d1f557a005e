namespace IotHub.Core.Domain;

/// <summary>What hubs, devices, networks and routes may be called.</summary>
public static class ResourceName
{
    public const int MaximumLength = 255;

    public static bool IsValid(string text) => text.Length is > 0 and <= MaximumLength && !text.Any(char.IsControl);
}
