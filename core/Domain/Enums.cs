namespace IotHub.Core.Domain;

/// <summary>Life of a hub as the API shows it (Scaleway IoT API, enum <c>hub.status</c>).</summary>
public enum HubStatus { Unknown, Error, Enabling, Ready, Disabling, Disabled }

/// <summary>Plan of a hub: what its devices may do on the data plane.</summary>
public enum ProductPlan { PlanUnknown, PlanShared, PlanDedicated, PlanHa }

public enum DeviceStatus { Unknown, Error, Enabled, Disabled }

/// <summary><see cref="Accept"/>: only the listed topics. <see cref="Reject"/>: all but the listed topics.</summary>
public enum MessageFilterPolicy { Unknown, Accept, Reject }

public enum NetworkType { Unknown, Sigfox, Rest }

public enum RouteType { Unknown, S3, Database, Rest }

public enum DatabaseEngine { Unknown, Postgresql, Mysql }

public enum RestVerb { Unknown, Get, Post, Put, Patch, Delete }

public enum S3Strategy { Unknown, PerTopic, PerMessage }

/// <summary>Severity of a hub event, part of its topic.</summary>
public enum EventSeverity { Info, Warning, Error }

/// <summary>What a hub event is about, part of its topic.</summary>
public enum EventSource { Hub, Device, Route, Network }
