using IotHub.Core.Queues;
using IotHub.Core.Storage;

namespace IotHub.Functions.Hosting;

/// <summary>Our own storage did not answer: expected now and then, so a sentence in the log and no stack.</summary>
public static class StorageFailure
{
    /// <returns>What failed and why, in one line; null when it is not a failure of storage.</returns>
    public static string? Reason(Exception e)
    {
        if (e is not (RegistryUnavailableException or QueueUnavailableException or ObjectStoreException))
        {
            return null;
        }
        var cause = e.GetBaseException();
        return cause == e ? FirstLine(e.Message) : $"{FirstLine(e.Message)} ({FirstLine(cause.Message)})";
    }

    // What follows the first line in a message of a storage client is headers.
    private static string FirstLine(string message) => message.Split('\n', 2)[0].Trim();
}
