using Azure;

namespace IotHub.Core.Queues.Azure;

/// <summary>What an Azure client throws when the service does not do what it was asked.</summary>
internal static class AzureFailure
{
    public static bool Is(Exception e, CancellationToken cancel) =>
        e is RequestFailedException or AggregateException or IOException
        || (e is OperationCanceledException && !cancel.IsCancellationRequested);

    /// <summary>What to throw instead. A call that was cancelled ends as cancelled, whatever its client makes of its tries.</summary>
    public static Exception Of(string what, Exception e, CancellationToken cancel) => cancel.IsCancellationRequested
        ? new OperationCanceledException($"{what}: cancelled", e, cancel)
        : new QueueUnavailableException($"{what}: {Reason(e)}", e);

    // The first line only: the rest of an Azure message is headers.
    private static string Reason(Exception e) => e switch
    {
        RequestFailedException { ErrorCode: { Length: > 0 } code } failed => $"{failed.Status} {code}",
        AggregateException { InnerException: { } inner } => Reason(inner),
        OperationCanceledException => "no answer in time",
        _ => e.Message.Split('\n', 2)[0].Trim(),
    };
}
