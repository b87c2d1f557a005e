namespace IotHub.Local.StandInHost;

/// <summary>The function app cannot be run as it is; the message says in one sentence what to change.</summary>
public sealed class FunctionAppException : Exception
{
    public FunctionAppException()
    {
    }

    public FunctionAppException(string message)
        : base(message)
    {
    }

    public FunctionAppException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
