/**
 * The one door to the container. tsyringe reads metadata that `reflect-metadata` must have set up before, so the order
 * of these two lines matters; everything in this package imports from here.
 */
import 'reflect-metadata';
export { container, inject, injectable, instanceCachingFactory, type InjectionToken, Lifecycle } from 'tsyringe';
